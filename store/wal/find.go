package wal

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"etude/internal/fs"
)

// finder compares the folder of a log with its manifest, at the start. It opens only plain files, so a pipe
// cannot block it.
type finder struct {
	l         *Log
	listed    bool // the manifest exists and is intact
	files     map[uint64]*candidate
	removed   []uint64 // segments whose removal was interrupted
	sideBytes map[uint64]int64
}

// candidate is a file with the name of a segment.
type candidate struct {
	number uint64 // by its name
	info   fs.Info
	h      header
	good   bool   // the header is
	alien  string // why it is not the segment of this number; "" if it is
}

// find lists the existing and the missing segments, and completes interrupted steps.
func (l *Log) find() error {
	f := &finder{l: l, files: map[uint64]*candidate{}, sideBytes: map[uint64]int64{}}
	steps := []func() error{f.list, f.loadManifest, f.identify, f.moveBack, f.settle, l.syncFolders}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// list reads the folder and removes unfinished files.
func (f *finder) list() error {
	l := f.l
	if err := l.finishMoves(); err != nil {
		return err
	}
	files, err := l.o.FS.List(folder(l.o.Dir))
	if err != nil {
		return fmt.Errorf("list log segments: %w", err)
	}
	for _, info := range files {
		number, suffix, ok := parseName(info.Name)
		if info.Name == manifestTemp {
			ok, suffix = true, tempSuffix
		} else if ok {
			l.next = max(l.next, number+1)
		}
		switch {
		case !ok:
		case suffix == tempSuffix && info.Kind != fs.Folder:
			if err := l.o.FS.Remove(filepath.Join(folder(l.o.Dir), info.Name)); err != nil {
				return fmt.Errorf("remove unfinished file: %w", err)
			}
		case suffix == removedSuffix:
			f.removed = append(f.removed, number)
		case suffix == damagedSuffix:
			f.sideBytes[number] = info.Size
		case suffix == segmentSuffix:
			f.files[number] = &candidate{number: number, info: info}
		}
	}
	return nil
}

// finishMoves completes interrupted renames of segments to their own names.
func (l *Log) finishMoves() error {
	files, err := l.o.FS.List(folder(l.o.Dir))
	if err != nil {
		return fmt.Errorf("list log segments: %w", err)
	}
	for _, info := range files {
		number, suffix, ok := parseName(info.Name)
		if !ok || suffix != movedSuffix || slices.ContainsFunc(files, func(other fs.Info) bool {
			n, s, ok := parseName(other.Name)
			return ok && n == number && s == segmentSuffix
		}) {
			continue
		}
		if err := l.o.FS.Rename(path(l.o.Dir, number, movedSuffix), path(l.o.Dir, number, segmentSuffix)); err != nil {
			return fmt.Errorf("give a log segment its name back: %w", err)
		}
	}
	return nil
}

func (f *finder) loadManifest() error {
	m := &f.l.manifest
	found, err := m.load()
	var newer *VersionError
	if errors.As(err, &newer) {
		return err
	}
	if err != nil {
		f.l.report(&Problem{File: m.path(), Reason: err.(*ManifestError).Err.Error() + ": missing segments cannot be noticed"})
		// The finder keeps a copy. If that fails, the new one replaces it.
		_ = f.l.o.FS.Rename(m.path(), m.path()+damagedSuffix)
	}
	f.listed = found && err == nil
	f.l.next = max(f.l.next, m.next)
	return f.readHeaders(found)
}

// readHeaders also chooses the log's own number if the manifest does not have it. A log of version 1 has no
// number and no manifest.
func (f *finder) readHeaders(found bool) error {
	m, lost := &f.l.manifest, ""
	for _, number := range slices.Sorted(maps.Keys(f.files)) {
		c := f.files[number]
		if c.info.Kind != fs.Plain {
			c.alien = fmt.Sprintf("it is a %s, not a file", c.info.Kind)
			continue
		}
		var err error
		c.h, c.good, err = readHeader(f.l.o.FS, path(f.l.o.Dir, number, segmentSuffix))
		var newer *VersionError
		switch {
		case errors.As(err, &newer):
			return err
		case err != nil:
			c.alien = err.Error()
		case c.good && c.h.version > 1:
			if m.store == 0 {
				m.store = c.h.store
			}
			if !found && c.info.Size > headerSize {
				lost = m.path()
			}
		}
	}
	if lost != "" {
		f.l.report(&Problem{File: lost, Reason: "it is missing: missing segments cannot be noticed"})
	}
	if m.store == 0 {
		m.store = newStore()
	}
	return nil
}

// identify finds files whose name belongs to another segment.
func (f *finder) identify() error {
	store := f.l.manifest.store
	for _, number := range slices.Sorted(maps.Keys(f.files)) {
		c := f.files[number]
		if c.alien != "" || !c.good || c.h.version < 2 {
			continue
		}
		if c.h.store != store {
			c.alien = "it is a segment of another log"
		}
	}
	return nil
}

// misplaced reports whether a file is a segment of this log under a wrong name.
func (c *candidate) misplaced() bool {
	return c.alien == "" && c.good && c.h.version >= 2 && c.h.number != c.number
}

// moveBack gives exchanged or renamed segments their own names again. It renames each by way of a third name,
// so that a crash does not leave one segment under two names.
func (f *finder) moveBack() error {
	l := f.l
	moved := map[uint64]*candidate{}
	for _, number := range slices.Sorted(maps.Keys(f.files)) {
		c := f.files[number]
		if !c.misplaced() {
			continue
		}
		there := f.files[c.h.number]
		switch {
		case moved[c.h.number] != nil || there != nil && there.alien == "" && !there.misplaced():
			c.alien = fmt.Sprintf("it is a copy of segment %d", c.h.number)
		case there != nil && !there.misplaced():
			c.alien = fmt.Sprintf("it is segment %d, whose name something else has", c.h.number)
		default:
			moved[c.h.number] = c
		}
	}
	if len(moved) == 0 {
		return nil
	}
	for number, c := range moved {
		if err := l.o.FS.Rename(path(l.o.Dir, c.number, segmentSuffix), path(l.o.Dir, number, movedSuffix)); err != nil {
			return fmt.Errorf("give a log segment its name back: %w", err)
		}
		delete(f.files, c.number)
	}
	if err := l.o.FS.SyncDir(folder(l.o.Dir)); err != nil {
		return fmt.Errorf("give a log segment its name back: %w", err)
	}
	for number, c := range moved {
		l.report(&Problem{File: path(l.o.Dir, c.number, segmentSuffix), Reason: fmt.Sprintf("it is segment %d under another name, and was renamed", number)})
		c.number = number
		f.files[number] = c
		if err := l.o.FS.Rename(path(l.o.Dir, number, movedSuffix), path(l.o.Dir, number, segmentSuffix)); err != nil {
			return fmt.Errorf("give a log segment its name back: %w", err)
		}
	}
	return nil
}

// settle makes the list of segments and rewrites the manifest.
func (f *finder) settle() error {
	l, m := f.l, &f.l.manifest
	l.aliens = map[uint64]bool{}
	for _, number := range f.removed {
		delete(m.entries, number)
	}
	numbers := maps.Clone(m.entries)
	for number, c := range f.files {
		if c.alien == "" {
			numbers[number] = entry{}
		}
		l.aliens[number] = c.alien != ""
	}
	for _, number := range slices.Sorted(maps.Keys(numbers)) {
		l.found = append(l.found, f.segment(number))
	}
	for _, number := range slices.Sorted(maps.Keys(f.files)) {
		if c := f.files[number]; c.alien != "" && numbers[number].number == 0 {
			l.report(&Problem{File: path(l.o.Dir, number, segmentSuffix), Reason: c.alien + "; it is left alone"})
		}
	}
	m.mu.Lock()
	m.next = max(m.next, l.next)
	err := m.save()
	m.mu.Unlock()
	if err != nil { // The next segment tries again.
		l.o.Logger.Warn("write the list of log segments", "error", err)
		return nil
	}
	for _, number := range f.removed {
		if err := l.o.FS.Remove(path(l.o.Dir, number, removedSuffix)); err != nil {
			l.o.Logger.Warn("remove the rest of a log segment", "segment", number, "error", err)
		}
	}
	return nil
}

// segment describes a segment. If the manifest does not list it, segment adds it.
func (f *finder) segment(number uint64) Segment {
	l, m, c := f.l, &f.l.manifest, f.files[number]
	e, listed := m.entries[number]
	s := Segment{Number: number, Created: e.created, Spans: e.spans}
	name := path(l.o.Dir, number, segmentSuffix)
	if c == nil || c.alien != "" {
		s.Missing = "there is no such file"
		if c != nil {
			s.Missing = c.alien
		}
		l.report(&Problem{File: name, Reason: s.Missing, Spans: e.spans})
		return s
	}
	s.Size = c.info.Size
	switch {
	case c.good:
		s.Created = c.h.created
	case !listed:
		s.Created = c.info.Modified.UnixNano()
	}
	if !listed {
		m.entries[number] = entry{number: number, created: s.Created}
		if f.listed && s.Size > headerSize {
			l.report(&Problem{File: name, Reason: "it is not in the manifest, but it is read"})
		}
	}
	l.last = number
	l.setSize(number, s.Size+f.sideBytes[number])
	return s
}

// syncFolders syncs the names of the folders, which may be new.
func (l *Log) syncFolders() error {
	_ = l.o.FS.SyncDir(filepath.Dir(filepath.Clean(l.o.Dir))) // The process may have no permission to open it.
	if err := l.o.FS.SyncDir(l.o.Dir); err != nil {
		return fmt.Errorf("sync data directory: %w", err)
	}
	return nil
}
