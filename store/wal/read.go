package wal

import (
	"fmt"
	"io"

	"etude/internal/fs"
)

// Segment is a file of the log, existing or missing.
type Segment struct {
	Number  uint64
	Size    int64  // bytes
	Created int64  // unix ns
	Spans   int64  // least number of spans, as far as the log knows
	Missing string // why Read cannot read it; "" if it can
}

// Report is the result of reading a segment.
type Report struct {
	Records int
	Spans   int
	Damage  []Damage // stretches that hold no good record
	Torn    *Damage  // bad bytes at the end, nil when there are none
}

// List returns the segments of a data directory, oldest first. It takes no lock and changes nothing, so a
// running program's log can be inspected. A *[VersionError] means that a newer program has written one.
func List(fsys fs.FS, dir string) ([]Segment, error) {
	files, err := fsys.List(folder(dir))
	if err != nil {
		return nil, fmt.Errorf("list log segments: %w", err)
	}
	var segments []Segment
	for _, f := range files {
		number, suffix, ok := parseName(f.Name)
		if !ok || suffix != segmentSuffix || f.Kind != fs.Plain {
			continue
		}
		h, good, err := readHeader(fsys, path(dir, number, segmentSuffix))
		if fs.IsNotExist(err) {
			continue // Its owner has removed it meanwhile.
		}
		if err != nil {
			return nil, err
		}
		s := Segment{Number: number, Size: f.Size, Created: f.Modified.UnixNano()}
		if good {
			s.Created = h.created
		}
		segments = append(segments, s)
	}
	return segments, nil
}

// readHeader reads a segment's header; good is false when it is damaged.
func readHeader(fsys fs.FS, name string) (h header, good bool, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return h, false, fmt.Errorf("open log segment: %w", err)
	}
	defer func() { _ = f.Close() }() // Only read.
	b := make([]byte, headerSize)
	n, err := f.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return h, false, fmt.Errorf("read header of %s: %w", name, err)
	}
	if h, _, good = parseHeader(b[:n]); good && h.version > Version {
		return h, false, &VersionError{File: name, Version: h.version}
	}
	return h, good, nil
}

// Read calls fn with each good record of a segment, in order, until fn returns an error. It skips bad bytes and
// describes them in the Report. It takes no lock and changes nothing.
func Read(fsys fs.FS, dir string, number uint64, fn func(*Record) error) (Report, error) {
	name := path(dir, number, segmentSuffix)
	data, err := fs.ReadStart(fsys, name, 2*maxSegment)
	if err != nil {
		return Report{}, fmt.Errorf("read log segment: %w", err)
	}
	return scan(name, data, func(r *Record, _ []byte) error { return fn(r) })
}

func scan(name string, data []byte, fn func(r *Record, raw []byte) error) (Report, error) {
	var rep Report
	s := newScanner(data)
	for {
		r, raw, ok := s.next()
		if !ok {
			break
		}
		rep.Records++
		rep.Spans += r.Spans
		if err := fn(&r, raw); err != nil {
			return rep, err
		}
	}
	rep.Damage = s.damage
	for i := range rep.Damage {
		rep.Damage[i].File = name
	}
	if s.tail < len(data) {
		rep.Torn = &Damage{File: name, Offset: int64(s.tail), Length: int64(len(data) - s.tail), Reason: s.reason}
	}
	return rep, nil
}
