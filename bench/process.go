package bench

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"
)

// errNotHere says that this system cannot inspect a process.
var errNotHere = errors.New("not measurable here")

// usage is what server and client had used at one moment.
type usage struct {
	cpu, client time.Duration
	rss, peak   int64
	disk        int64
}

// probe reads usage; a zero pid or an empty dir is left out.
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

// diskUse sums the files below a directory; those that vanish meanwhile, as
// files of a running store do, are gone.
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
