package wal

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"etude/internal/fs"
)

// Replay is [Read] of a segment that Open has found, for the process that owns the log: it also repairs damage,
// so that the next start finds a clean log. If the disk refuses a repair, Replay logs that and leaves the
// repair for the next start. If spans of the segment are missing, it reports a [Problem]. Several goroutines
// may each replay a different segment.
func (l *Log) Replay(number uint64, fn func(*Record) error) (Report, error) {
	seg, claimed := l.segment(number)
	if seg.Missing != "" {
		return Report{}, nil // Open has reported it.
	}
	name := path(l.o.Dir, number, segmentSuffix)
	most := maxSegment + l.o.SegmentBytes
	data, err := fs.ReadStart(l.o.FS, name, most)
	if err != nil {
		l.report(&Problem{File: name, Reason: err.Error(), Spans: claimed.spans})
		return Report{}, fmt.Errorf("read log segment: %w", err)
	}
	oversize := int64(len(data)) == most
	if oversize { // mostly holes, which the copy does not need
		data = bytes.TrimRight(data, "\x00")
	}
	good := [][]byte{appendHeader(nil, header{created: seg.Created, store: l.manifest.store, number: number})}
	rep, err := scan(name, data, func(r *Record, raw []byte) error {
		good = append(good, raw)
		return fn(r)
	})
	if err != nil {
		return rep, err
	}
	if oversize {
		rep.Damage = append(rep.Damage, Damage{File: name, Offset: int64(len(data)), Reason: "it is larger than a segment can be"})
	}
	if rep.Torn != nil && number != l.last {
		// A finished segment has no torn tail: all its bad bytes are damage.
		rep.Damage, rep.Torn = append(rep.Damage, *rep.Torn), nil
	}
	short := l.compare(name, claimed, &rep)
	l.manifest.claim(number, int64(rep.Spans), uint32(rep.Records))
	if err := l.repair(number, data, good, &rep, short); err != nil {
		l.o.Logger.Error("repair of a log segment is left for the next start", "error", err)
	}
	return rep, nil
}

// compare reports the missing spans of a segment.
func (l *Log) compare(name string, claimed entry, rep *Report) (short bool) {
	if rep.Records >= int(claimed.records) && int64(rep.Spans) >= claimed.spans {
		return false
	}
	l.report(&Problem{File: name, Spans: max(0, claimed.spans-int64(rep.Spans)),
		Reason: fmt.Sprintf("it holds %d spans of %d", rep.Spans, claimed.spans)})
	return true
}

// Settle records Replay's findings about the segments. The caller calls it once, after the last Replay.
func (l *Log) Settle() {
	if err := l.manifest.settle(); err != nil {
		l.o.Logger.Warn("write the list of log segments; trying again with the next segment", "error", err)
	}
}

func (l *Log) repair(number uint64, data []byte, good [][]byte, rep *Report, short bool) error {
	if rep.Records == 0 && len(data) <= headerSize && !short {
		rep.Damage = nil // A crash interrupted its creation.
		return l.Remove(number)
	}
	if rep.Torn != nil {
		l.o.Logger.Warn("cut an unfinished record off the log", "file", rep.Torn.File, "offset", rep.Torn.Offset,
			"bytes", rep.Torn.Length, "reason", rep.Torn.Reason)
	}
	for _, d := range rep.Damage {
		l.o.Logger.Error("log is damaged", "file", d.File, "offset", d.Offset, "bytes", d.Length, "reason", d.Reason)
	}
	switch {
	case len(rep.Damage) > 0 && len(data) > 0:
		return l.moveAside(number, data, good)
	case rep.Torn != nil:
		return l.cut(number, rep.Torn.Offset)
	}
	return nil
}

// cut removes a torn tail.
func (l *Log) cut(number uint64, size int64) error {
	name := path(l.o.Dir, number, segmentSuffix)
	f, err := l.o.FS.Append(name)
	if err != nil {
		return fmt.Errorf("cut %s: %w", name, err)
	}
	err = f.Truncate(size)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cut %s: %w", name, err)
	}
	l.setSize(number, size)
	return nil
}

// moveAside keeps a copy of the damaged segment, and then replaces the segment by one with only the good
// records. Each file appears whole or not at all, the copy first, so a crash in between loses nothing.
func (l *Log) moveAside(number uint64, data []byte, good [][]byte) error {
	temporary, damaged := path(l.o.Dir, number, tempSuffix), path(l.o.Dir, number, damagedSuffix)
	if err := fs.WriteFile(l.o.FS, folder(l.o.Dir), temporary, damaged, data); err != nil {
		return fmt.Errorf("copy damaged segment to %s: %w", damaged, err)
	}
	name := path(l.o.Dir, number, segmentSuffix)
	clean := slices.Concat(good...)
	if err := fs.WriteFile(l.o.FS, folder(l.o.Dir), temporary, name, clean); err != nil {
		return fmt.Errorf("rewrite damaged segment %s: %w", name, err)
	}
	l.setSize(number, int64(len(clean)+len(data)))
	l.o.Logger.Error("moved damaged log segment aside", "copy", damaged, "lost_bytes", len(data)-len(clean))
	return nil
}

// segment returns the segment that Open found under a number, with its required contents.
func (l *Log) segment(number uint64) (Segment, entry) {
	l.manifest.mu.Lock()
	claimed := l.manifest.entries[number]
	l.manifest.mu.Unlock()
	for _, s := range l.found {
		if s.Number == number {
			return s, claimed
		}
	}
	return Segment{Number: number, Created: time.Now().UnixNano()}, claimed
}
