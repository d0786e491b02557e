//go:build !linux

package fs

import "os"

// syncData is what package os knows: F_FULLFSYNC on darwin, FlushFileBuffers on
// windows.
func syncData(f *os.File) error { return f.Sync() }
