//go:build !linux

package fs

import "os"

// syncData uses package os: F_FULLFSYNC on darwin, FlushFileBuffers on Windows.
func syncData(f *os.File) error { return f.Sync() }
