package wal

import (
	"path/filepath"
	"strconv"
	"strings"
)

// Every name in a data directory:
//
//	lock                            held by the process that writes here
//	wal/00000000000000000001.wal    a segment
//	wal/00000000000000000001.tmp    a segment being rewritten; readers ignore it
//	wal/00000000000000000001.damaged  the segment as found, before bad bytes were cut out
const (
	lockName      = "lock"
	folderName    = "wal"
	segmentSuffix = ".wal"
	tempSuffix    = ".tmp"
	damagedSuffix = ".damaged"
	digits        = 20
)

func folder(dir string) string { return filepath.Join(dir, folderName) }

// path is the name of a segment, or of a file beside it, by suffix.
func path(dir string, number uint64, suffix string) string {
	n := strconv.FormatUint(number, 10)
	return filepath.Join(folder(dir), strings.Repeat("0", digits-len(n))+n+suffix)
}

// parseName takes a file name apart; ok is false for a name that is not ours.
func parseName(name string) (number uint64, suffix string, ok bool) {
	if len(name) <= digits {
		return 0, "", false
	}
	number, err := strconv.ParseUint(name[:digits], 10, 64)
	suffix = name[digits:]
	ours := suffix == segmentSuffix || suffix == tempSuffix || suffix == damagedSuffix
	return number, suffix, err == nil && ours
}
