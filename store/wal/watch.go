package wal

import (
	"errors"
	"fmt"
	"time"

	"etude/internal/fs"
)

// The committer watches its files. On Linux another process can remove, rename or replace a file or folder that
// a program has open. Writes and syncs still succeed, but the data is lost.
//
// The rules. Before a batch counts as committed, the segment's name must lead to the open file. If it does not,
// the committer refuses the batch. If the folder is the one that Open has locked, the next batch begins a new
// segment. If the folder is gone, or another folder has its name, the committer refuses every batch until the
// same folder is back. Then the log continues without a restart. A running log never recreates its folder: if a
// volume was unmounted, that would write to the disk below it.
//
// After any error, while no batch arrives, the committer probes once a second whether the disk takes writes again.

// watchEvery is how often the committer checks its files while no batch arrives.
const watchEvery = time.Second

// FolderError reports that the data directory is not the opened one.
type FolderError struct {
	Folder string
	Err    error
}

func (e *FolderError) Error() string {
	if errors.Is(e.Err, fs.ErrReplaced) {
		return fmt.Sprintf("%s is another directory than the one that was opened: spans are refused; start again to use this one, or put the old one back", e.Folder)
	}
	return fmt.Sprintf("%s is gone: spans are refused until it is back: %v", e.Folder, e.Err)
}

func (e *FolderError) Unwrap() error { return e.Err }

// Trouble returns the reason why the log takes no records, or nil if the last check found none. It never waits.
func (l *Log) Trouble() error {
	if err := l.trouble.Load(); err != nil {
		return *err
	}
	return nil
}

// setTrouble logs changes. The committer is the only caller.
func (l *Log) setTrouble(err error) {
	was := l.trouble.Load()
	switch {
	case err == nil && was == nil:
	case err == nil:
		l.trouble.Store(nil)
		l.o.Logger.Info("the log takes spans again")
	default:
		l.trouble.Store(&err)
		if was == nil {
			l.complain("the log takes no spans", err)
		}
	}
}

// pin records the identity of the log's folders.
func (l *Log) pin() error {
	for _, dir := range []string{l.o.Dir, folder(l.o.Dir)} {
		p, err := l.o.FS.Pin(dir)
		if err != nil {
			return fmt.Errorf("open data directory %s: %w", dir, err)
		}
		l.pins = append(l.pins, pinned{dir, p})
	}
	return nil
}

type pinned struct {
	dir string
	fs.Pin
}

func (l *Log) unpin() error {
	var errs []error
	for _, p := range l.pins {
		errs = append(errs, p.Close())
	}
	l.pins = nil
	return errors.Join(errs...)
}

// checkFolders returns an error unless the folders are the same that Open has found.
func (l *Log) checkFolders() error {
	for _, p := range l.pins {
		if err := p.Still(); err != nil {
			return &FolderError{Folder: p.dir, Err: err}
		}
	}
	return nil
}

// checkSegment returns an error if the name of the segment does not lead to the open file.
func (l *Log) checkSegment() error {
	w := &l.seg
	err := w.file.Named()
	if err == nil {
		return nil
	}
	if e := l.checkFolders(); e != nil {
		return e
	}
	l.report(&Problem{File: w.name, Spans: int64(w.spans), Reason: "it was taken away while it was being written"})
	l.manifest.claim(w.number, int64(w.spans), uint32(w.records)) // The next start reports it, too.
	w.spans, w.records = 0, 0
	return err
}

// watch checks the segment and the folders while no batch arrives.
func (l *Log) watch() {
	l.note()
	err := l.checkFolders()
	if err == nil && l.seg.file != nil {
		if e := l.checkSegment(); e != nil {
			l.giveUp(e)
		}
	}
	if err == nil && l.Trouble() != nil {
		err = l.probe()
	}
	l.setTrouble(err)
}

// probeBytes is more than the space that a full disk frees now and then.
const probeBytes = 256 << 10

// probe reports whether the disk takes writes again.
func (l *Log) probe() error {
	l.mu.Lock()
	number := l.next
	l.mu.Unlock()
	name := path(l.o.Dir, number, tempSuffix)
	if err := l.o.FS.Remove(name); err != nil && !fs.IsNotExist(err) {
		return &WriteError{File: name, Err: err}
	}
	f, err := l.o.FS.Create(name)
	if err != nil {
		return &WriteError{File: name, Err: err}
	}
	err = writeAll(f, make([]byte, probeBytes))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close(), l.o.FS.Remove(name)); err != nil {
		return &WriteError{File: name, Err: err}
	}
	return nil
}
