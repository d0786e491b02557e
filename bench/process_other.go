//go:build !linux

package bench

import (
	"io/fs"
	"time"
)

func processCPU(int) (time.Duration, error) { return 0, errNotHere }

func processMemory(int) (now, peak int64, err error) { return 0, 0, errNotHere }

func ownCPU() (time.Duration, bool) { return 0, false }

func fileSize(info fs.FileInfo) int64 { return info.Size() }
