package fs

import (
	"errors"
	"io"
	"os"
)

// OS is the operating system's file system.
var OS FS = osFS{}

type osFS struct{}

type osFile struct{ *os.File }

// openPlain opens a plain file. It does not wait for the other end of a pipe, and does not follow a link.
func openPlain(name string, flags int) (*os.File, error) {
	if err := checkLink(name); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, flags|openFlags, 0o600)
	if err != nil {
		if info, e := os.Lstat(name); e == nil && kindOf(info.Mode()) != Plain {
			return nil, &KindError{Path: name, Kind: kindOf(info.Mode())}
		}
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && kindOf(info.Mode()) != Plain {
		err = &KindError{Path: name, Kind: kindOf(info.Mode())}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func kindOf(m os.FileMode) Kind {
	switch {
	case m.IsRegular():
		return Plain
	case m.IsDir():
		return Folder
	case m&os.ModeSymlink != 0:
		return Link
	case m&os.ModeNamedPipe != 0:
		return Pipe
	case m&os.ModeSocket != 0:
		return Socket
	}
	return Device
}

func (osFS) Create(name string) (File, error) {
	return wrap(os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600))
}

func (osFS) Append(name string) (File, error) {
	f, err := openPlain(name, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		_ = f.Close()
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Open(name string) (File, error) { return wrap(openPlain(name, os.O_RDONLY)) }

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }

func (osFS) Remove(name string) error { return os.Remove(name) }

func (osFS) Mkdir(dir string) error { return os.MkdirAll(dir, 0o700) }

func (osFS) SyncDir(dir string) error { return syncDir(dir) }

func (osFS) List(dir string) ([]Info, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := make([]Info, 0, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if IsNotExist(err) {
			continue // Removed after ReadDir.
		}
		if err != nil {
			return nil, err
		}
		files = append(files, Info{Name: e.Name(), Size: info.Size(), Modified: info.ModTime(), Kind: kindOf(info.Mode())})
	}
	return files, nil
}

func wrap(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// leadsTo returns an error unless a name refers to a file.
func leadsTo(stat func(string) (os.FileInfo, error), name string, file os.FileInfo) error {
	now, err := stat(name)
	if err != nil {
		return err
	}
	if !os.SameFile(now, file) {
		return &os.PathError{Op: "find", Path: name, Err: ErrReplaced}
	}
	return nil
}

func (osFS) Pin(name string) (Pin, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return osPin{f}, nil
}

type osPin struct{ f *os.File }

func (p osPin) Still() error {
	own, err := p.f.Stat()
	if err != nil {
		return err
	}
	return leadsTo(os.Stat, p.f.Name(), own)
}

func (p osPin) Close() error { return p.f.Close() }

func (f osFile) Sync() error { return syncData(f.File) }

func (f osFile) Truncate(size int64) error {
	if err := f.File.Truncate(size); err != nil {
		return err
	}
	_, err := f.Seek(size, io.SeekStart)
	return err
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
