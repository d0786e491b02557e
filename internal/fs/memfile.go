package fs

import (
	"bytes"
	"io"
	iofs "io/fs"
	"time"
)

// memFile is an open file of a [Mem]. Its content is in the node, protected by the Mem's lock.
type memFile struct {
	m      *Mem
	n      *node
	name   string
	off    int
	write  bool
	closed bool
}

func (f *memFile) begin(kind string, size int) Fault {
	if f.closed {
		return Fault{Err: pathError(kind, f.name, iofs.ErrClosed)}
	}
	return f.m.begin(Op{Kind: kind, Path: f.name, Size: size})
}

func (f *memFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, int64(f.off))
	f.off += n
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.begin("read", len(p)).Err; err != nil {
		return 0, err
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Write(p []byte) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	fault := f.begin("write", len(p))
	if fault.Err != nil && fault.Keep == 0 {
		return 0, fault.Err
	}
	if !f.write {
		return 0, pathError("write", f.name, iofs.ErrPermission)
	}
	keep, err := len(p), fault.Err
	if err != nil {
		keep = min(fault.Keep, keep)
	}
	if free := f.m.capacity - f.m.used; f.m.capacity > 0 && int64(keep) > free {
		keep, err = int(max(0, free)), pathError("write", f.name, ErrNoSpace)
	}
	f.n.data = append(f.n.data, p[:keep]...)
	f.n.modified = time.Now()
	f.m.used += int64(keep)
	return keep, err
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	n := f.n
	if err := f.begin("sync", 0).Err; err != nil {
		n.lost = append(n.lost, [2]int{len(n.synced), len(n.data)})
		return err
	}
	if len(n.lost) == 0 { // Fast path: share the array.
		n.synced = n.data[:len(n.data):len(n.data)]
		return nil
	}
	n.synced = bytes.Clone(n.data)
	for _, r := range n.lost {
		if r[0] < r[1] {
			clear(n.synced[r[0]:r[1]])
		}
	}
	return nil
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.begin("truncate", int(size)).Err; err != nil {
		return err
	}
	f.m.used += size - int64(len(f.n.data))
	data := make([]byte, size)
	copy(data, f.n.data)
	f.n.data = data
	for i := range f.n.lost { // Later writes to this range are not lost.
		f.n.lost[i][1] = min(f.n.lost[i][1], int(size))
	}
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.begin("size", 0).Err; err != nil {
		return 0, err
	}
	return int64(len(f.n.data)), nil
}

func (f *memFile) Named() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	switch f.m.live[f.name] {
	case f.n:
		return nil
	case nil:
		return pathError("find", f.name, iofs.ErrNotExist)
	default:
		return pathError("find", f.name, ErrReplaced)
	}
}

func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return pathError("close", f.name, iofs.ErrClosed)
	}
	f.closed = true
	return nil
}
