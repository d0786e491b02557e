// Package fs is the file system of the storage code. It has only the operations that durability needs. Tests
// run the same storage code over [Mem], a file system that loses unsynced data in a crash and fails on demand.
//
// The implementations promise:
//
//   - Data of a file is durable once [File.Sync] has returned nil. Before that a
//     crash may keep all of it, none of it, or any part.
//   - A name (created, renamed, removed) is durable once [FS.SyncDir] of its
//     folder has returned nil. A rename is never seen half done.
//   - After a failed Sync, the state of the bytes written since the last successful Sync is unknown. A
//     second, successful Sync proves nothing, because the kernel may have dropped the pages. Callers stop
//     using the file.
package fs

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// ErrNoSpace is the error of a [Mem] with a full disk. Use [NoSpace] to test any error.
var ErrNoSpace = errors.New("no space left on device")

// FS is a file system. Errors contain the operation and the path, as in package os, and match os.ErrNotExist
// and os.ErrExist. A name whose last element is a link is not followed, and opening never blocks: anything
// except a plain file is refused with a *[KindError].
type FS interface {
	// Create makes a new file for writing; it is an error if the name exists.
	Create(name string) (File, error)
	// Append opens an existing file for writing at its end.
	Append(name string) (File, error)
	// Open opens an existing file for reading.
	Open(name string) (File, error)
	// Rename renames a file and replaces a file with the new name.
	Rename(from, to string) error
	Remove(name string) error
	// List returns the entries of a folder in the order of their names: files and all other entries, with their
	// Kind.
	List(dir string) ([]Info, error)
	// Mkdir makes a folder and its missing parents.
	Mkdir(dir string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(dir string) error
	// Lock acquires a lock, which one process at a time on this machine can hold, until it is closed or the
	// process ends. The error is a *[LockedError] when another holder has it.
	Lock(name string) (io.Closer, error)
	// Pin records the file or folder that a name refers to now, following links. Still returns an error when
	// the name no longer refers to it.
	Pin(name string) (Pin, error)
}

// Pin is a recorded file or folder. It stays open, so that the system cannot give its identity to another.
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
	// Sync makes written bytes and the file's length durable.
	Sync() error
	// Truncate cuts the file to a length; Write continues there.
	Truncate(size int64) error
	Size() (int64, error)
	// Named returns an error when the name that the file was opened by no longer refers to it: the file was
	// removed, renamed, or replaced.
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

// KindError means that a name refers to something other than a plain file.
type KindError struct {
	Path string
	Kind Kind
}

func (e *KindError) Error() string {
	return fmt.Sprintf("open %s: it is a %s, not a file", e.Path, e.Kind)
}

// ErrReplaced means that a name refers to another file or folder than before.
var ErrReplaced = errors.New("another one has replaced it")

// LockedError means that another process, or this one, holds the lock.
type LockedError struct {
	Path string
	PID  int // process that holds it; 0 when unknown
}

// ReadFile returns the whole content of a file.
func ReadFile(f FS, name string) ([]byte, error) { return ReadStart(f, name, math.MaxInt64) }

// ReadStart returns the content of a file, at most the first most bytes. It ignores the file's size, which
// others may control: a file with holes can have any size.
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

// WriteFile makes a file appear completely or not at all: it writes a temporary file, syncs it, renames it, and
// syncs the folder.
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
