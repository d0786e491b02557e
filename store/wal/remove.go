package wal

import (
	"errors"
	"fmt"
	"slices"

	"etude/internal/fs"
)

// Remove deletes segments and the damaged copies beside them; manifest.go has the order of steps. It does not
// remove the current segment. After a crash a removed segment may exist again, intact. After an error the
// caller may call Remove again with the same numbers.
func (l *Log) Remove(numbers ...uint64) error {
	if err := l.remove(numbers); err != nil {
		return fmt.Errorf("remove log segment: %w", err)
	}
	return nil
}

func (l *Log) remove(numbers []uint64) error {
	l.mu.Lock()
	active := l.active
	l.mu.Unlock()
	if active != 0 && slices.Contains(numbers, active) {
		return fmt.Errorf("segment %d is being written", active)
	}
	var files []uint64
	for _, number := range numbers {
		there, err := l.bury(number)
		if err != nil {
			return err
		}
		if there {
			files = append(files, number)
		}
	}
	if len(files) > 0 {
		if err := l.o.FS.SyncDir(folder(l.o.Dir)); err != nil {
			return err
		}
	}
	if err := l.manifest.strike(numbers); err != nil {
		if fs.NoSpace(err) {
			l.empty(files)
		}
		return err
	}
	return l.unlink(numbers, files)
}

// bury gives a segment the name of a removed one. There is false if the log has no file for it.
func (l *Log) bury(number uint64) (there bool, err error) {
	if l.aliens[number] {
		return false, nil
	}
	removed := path(l.o.Dir, number, removedSuffix)
	err = l.o.FS.Rename(path(l.o.Dir, number, segmentSuffix), removed)
	if !fs.IsNotExist(err) {
		return err == nil, err
	}
	f, err := l.o.FS.Open(removed) // by an earlier attempt?
	if fs.IsNotExist(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

// empty makes room on a full disk. The names stay, so that the next start knows that these segments were removed.
func (l *Log) empty(files []uint64) {
	for _, number := range files {
		f, err := l.o.FS.Append(path(l.o.Dir, number, removedSuffix))
		if err == nil {
			err = errors.Join(f.Truncate(0), f.Close())
		}
		if err != nil {
			l.o.Logger.Warn("empty a removed log segment", "segment", number, "error", err)
			continue
		}
		l.setSize(number, 0)
	}
}

func (l *Log) unlink(numbers, files []uint64) error {
	var errs []error
	for _, number := range numbers {
		if err := l.o.FS.Remove(path(l.o.Dir, number, damagedSuffix)); err != nil && !fs.IsNotExist(err) {
			errs = append(errs, err)
		}
	}
	for _, number := range files {
		if err := l.o.FS.Remove(path(l.o.Dir, number, removedSuffix)); err != nil && !fs.IsNotExist(err) {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		for _, number := range numbers {
			l.setSize(number, 0)
		}
	}
	return errors.Join(errs...)
}
