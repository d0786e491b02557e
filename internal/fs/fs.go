// Package fs is the file system that storage writes to: the few operations that
// durability is made of, so that tests can run the very same storage code over
// [Mem], a file system that loses unsynced data in a crash, and fails on demand.
//
// The implementations promise:
//
//   - Data of a file is durable once [File.Sync] has returned nil. Before that a
//     crash may keep all of it, none of it, or any part.
//   - A name (created, renamed, removed) is durable once [FS.SyncDir] of its
//     folder has returned nil. A rename is never seen half done.
//   - After Sync has failed nothing is known about the bytes written since the
//     last good Sync, and a second Sync that succeeds proves nothing: the kernel
//     may have dropped the pages. Callers give the file up.
package fs

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// ErrNoSpace is [Mem]'s full disk. Use [NoSpace] to ask about any error.
var ErrNoSpace = errors.New("no space left on device")

// FS is a file system. Errors carry the operation and the path, as those of
// package os do, and match os.ErrNotExist and os.ErrExist. The last element of a
// name is never followed when it is a link, and opening never waits: anything but a
// plain file is refused with a *[KindError].
type FS interface {
	// Create makes a new file for writing; it is an error if the name exists.
	Create(name string) (File, error)
	// Append opens an existing file for writing at its end.
	Append(name string) (File, error)
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// Rename gives a file another name, replacing what had that name.
	Rename(from, to string) error
	Remove(name string) error
	// List returns the entries of a folder, ordered by name: files, and whatever else
	// has a name there, with its Kind.
	List(dir string) ([]Info, error)
	// Mkdir makes a folder and those above it that do not exist.
	Mkdir(dir string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(dir string) error
	// Lock takes a lock that no one else on this machine can hold at the same
	// time, until it is closed or the process ends. A *[LockedError] says that it
	// is taken.
	Lock(name string) (io.Closer, error)
	// Pin remembers which file or folder has a name now, following links. Still
	// returns an error once the name leads nowhere or to another one.
	Pin(name string) (Pin, error)
}

// Pin is a remembered file or folder. It is held open, so that the system cannot
// give its identity to another.
type Pin interface {
	Still() error
	io.Closer
}

// File is an open file. Write appends at the end.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.Closer
	// Sync makes written bytes durable, the file's length included.
	Sync() error
	// Truncate cuts the file to a length; Write continues from there.
	Truncate(size int64) error
	Size() (int64, error)
	// Named returns an error when the name that the file was opened by leads to it
	// no more: it was removed, renamed, or replaced.
	Named() error
}

// Info describes a file in a folder.
type Info struct {
	Name     string
	Size     int64
	Modified time.Time
	Kind     Kind
}

// Kind is the kind of a folder's entry.
type Kind string

// The kinds.
const (
	Plain  Kind = "" // a file
	Folder Kind = "folder"
	Link   Kind = "symbolic link"
	Pipe   Kind = "pipe"
	Socket Kind = "socket"
	Device Kind = "device"
)

// KindError says that a name leads to something else than a plain file.
type KindError struct {
	Path string
	Kind Kind
}

func (e *KindError) Error() string {
	return fmt.Sprintf("open %s: it is a %s, not a file", e.Path, e.Kind)
}

// ErrReplaced says that a name leads to another file or folder than before.
var ErrReplaced = errors.New("another one has taken its place")

// LockedError says that another process, or this one, holds the lock.
type LockedError struct {
	Path string
	PID  int // of the holder; 0 when not known
}

// ReadFile returns the whole content of a file.
func ReadFile(f FS, name string) ([]byte, error) { return ReadStart(f, name, math.MaxInt64) }

// ReadStart returns the content of a file, of a larger one the first most bytes. The
// size of a file that others can reach says nothing: a file with holes has any.
func ReadStart(f FS, name string, most int64) (data []byte, err error) {
	r, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	size, err := r.Size()
	if err != nil {
		return nil, err
	}
	data = make([]byte, min(size, most))
	n, err := io.ReadFull(r, data)
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = nil // The file became shorter meanwhile.
	}
	return data[:n], err
}

// WriteFile makes a file appear with all of its content or not at all: it is
// written under a temporary name, synced, renamed, and its folder synced.
func WriteFile(f FS, dir, temporary, name string, data []byte) error {
	if err := f.Remove(temporary); err != nil && !IsNotExist(err) {
		return err
	}
	w, err := f.Create(temporary)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	if err == nil {
		err = w.Sync()
	}
	if err = errors.Join(err, w.Close()); err == nil {
		err = f.Rename(temporary, name)
	}
	if err != nil {
		return errors.Join(err, f.Remove(temporary))
	}
	return f.SyncDir(dir)
}
