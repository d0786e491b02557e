package wal

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Every name in a data directory:
//
//	lock                              held by the process that writes here
//	wal/manifest                      the segments that there must be
//	wal/manifest.tmp                  a manifest being written; readers ignore it
//	wal/manifest.damaged              a manifest as found, when it could not be used
//	wal/00000000000000000001.wal      a segment
//	wal/00000000000000000001.tmp      a segment being rewritten; readers ignore it
//	wal/00000000000000000001.damaged  the segment as found, before bad bytes were cut out
//	wal/00000000000000000001.moved    a segment found under another name, on its way back
//	wal/00000000000000000001.removed  a segment that was removed; the next start finishes that
const (
	lockName      = "lock"
	folderName    = "wal"
	manifestName  = "manifest"
	manifestTemp  = "manifest.tmp"
	segmentSuffix = ".wal"
	tempSuffix    = ".tmp"
	damagedSuffix = ".damaged"
	movedSuffix   = ".moved"
	removedSuffix = ".removed"
	digits        = 20
)

func folder(dir string) string { return filepath.Join(dir, folderName) }

// path returns the name of a segment or, by suffix, of a file that belongs to it.
func path(dir string, number uint64, suffix string) string {
	n := strconv.FormatUint(number, 10)
	return filepath.Join(folder(dir), strings.Repeat("0", digits-len(n))+n+suffix)
}

// parseName parses a file name. ok is false for a name that does not belong to the log.
func parseName(name string) (number uint64, suffix string, ok bool) {
	if len(name) <= digits {
		return 0, "", false
	}
	number, err := strconv.ParseUint(name[:digits], 10, 64)
	suffix = name[digits:]
	ours := slices.Contains([]string{segmentSuffix, tempSuffix, damagedSuffix, movedSuffix, removedSuffix}, suffix)
	return number, suffix, err == nil && ours
}
