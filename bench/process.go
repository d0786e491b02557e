package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
)

// errNotHere means that this system cannot inspect a process.
var errNotHere = errors.New("not measurable here")

// usage is the resources that server and client have used up to one moment.
type usage struct {
	cpu, client time.Duration
	rss, peak   int64
	disk        int64
}

// probe reads usage. It skips a zero pid and an empty dir.
type probe struct {
	pid int
	dir string
}

func (p probe) read() (u usage, err error) {
	u.client, _ = ownCPU()
	if p.pid != 0 {
		if u.cpu, err = processCPU(p.pid); err != nil && !errors.Is(err, errNotHere) {
			return u, err
		}
		if u.rss, u.peak, err = processMemory(p.pid); err != nil && !errors.Is(err, errNotHere) {
			return u, err
		}
	}
	if p.dir != "" {
		if u.disk, err = diskUse(p.dir); err != nil {
			return u, err
		}
	}
	return u, nil
}

// diskUse sums the sizes of the files below a directory. It skips files that vanish meanwhile, as in a running
// store.
func diskUse(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				sum += fileSize(info)
			}
		}
		if errors.Is(err, fs.ErrNotExist) && path != dir {
			return nil
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("measure disk use: %w", err)
	}
	return sum, nil
}
