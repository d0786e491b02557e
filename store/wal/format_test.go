package wal

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etude/internal/fs"
)

var update = flag.Bool("update", false, "write the segment of the present version to testdata")

// oldHeader is a header of version 1.
func oldHeader(created int64) []byte { return appendHeader1(nil, created, 1) }

// newHeader is one of the present version, of the log 77.
func newHeader(created int64, number uint64) []byte {
	return appendHeader(nil, header{created: created, store: 77, number: number})
}

var oldPayloads = []string{"short", strings.Repeat("compressible ", 100), ""}

// Segments of every version so far must still open, read-only.
func TestOldVersionsOpen(t *testing.T) {
	t.Parallel()
	if *update {
		writeVersion2(t)
	}
	for version, at := range map[string]int64{"version-1": 1700000000000000000, "version-2": 1800000000000000000} {
		dir := filepath.Join("testdata", version)
		segments, err := List(fs.OS, dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(segments) != 1 || segments[0].Number != 1 || segments[0].Created != at {
			t.Fatalf("%s: segments: %+v", version, segments)
		}
		var got []string
		rep, err := Read(fs.OS, dir, 1, func(r *Record) error {
			p, err := r.Payload(nil)
			if r.Spans != len(got) || r.Arrival != at+int64(len(got)) {
				t.Errorf("%s: record %d: %+v", version, len(got), r)
			}
			got = append(got, string(p))
			return err
		})
		if err != nil || rep.Torn != nil || len(rep.Damage) > 0 {
			t.Fatalf("%s: read: %v, %+v", version, err, rep)
		}
		if !slices.Equal(got, oldPayloads) {
			t.Errorf("%s: payloads %q, want %q", version, got, oldPayloads)
		}
	}
}

// writeVersion2 writes a log of the present version, with its manifest.
func writeVersion2(t *testing.T) {
	const at = 1800000000000000000
	b := newHeader(at, 1)
	for i, p := range oldPayloads {
		b = appendRecord(b, []byte(p), i, int64(at+i))
	}
	m := manifest{store: 77, next: 2, entries: map[uint64]entry{1: {number: 1, created: at, spans: 3, records: 3}}}
	dir := folder("testdata/version-2")
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "00000000000000000001.wal"), b, 0o644),
		os.WriteFile(filepath.Join(dir, manifestName), m.encode(), 0o644)); err != nil {
		t.Fatal(err)
	}
}

// A directory of any version so far is taken over: everything is read, nothing is
// reported as wrong, at this start and the next, and it gets a manifest.
func TestOldVersionsAreTakenOver(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"version-1", "version-2"} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", version))); err != nil {
			t.Fatal(err)
		}
		want := slices.Clone(oldPayloads)
		for start := range 3 {
			l, j := open(t, fs.OS, func(o *Options) { o.Dir = dir })
			got, _ := replay(t, l)
			l.Settle()
			if !slices.Equal(got, want) || len(l.Problems()) > 0 {
				t.Errorf("%s, start %d: %q, problems %v", version, start, got, l.Problems())
			}
			put(t, l, j, "new")
			want = append(want, "new")
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		m := manifest{fs: fs.OS, dir: dir}
		if found, err := m.load(); !found || err != nil || len(m.entries) != 4 || m.entries[1].records != 3 {
			t.Errorf("%s: manifest %v %v: %+v", version, found, err, m.entries)
		}
	}
}

// Whatever the bytes, a manifest is read without a fault, and one that was written
// is read as it was.
func FuzzManifest(f *testing.F) {
	whole := manifest{store: 77, next: 9, entries: map[uint64]entry{1: {number: 1, spans: 5, records: 2}, 7: {number: 7, created: 3}}}
	f.Add(whole.encode())
	f.Add(append(whole.encode(), appendEntry(nil, entry{number: 7, spans: 12, records: 3})...))
	f.Add(append(whole.encode(), 1, 2, 3))
	f.Add([]byte(manifestMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := manifest{entries: map[uint64]entry{}}
		if m.parse(data) != nil {
			return
		}
		again := manifest{entries: map[uint64]entry{}}
		if err := again.parse(m.encode()); err != nil || again.store != m.store || again.next != m.next || !maps.Equal(again.entries, m.entries) {
			t.Fatalf("read %+v, and again %+v: %v", m.entries, again.entries, err)
		}
	})
}

// Whatever the bytes: each belongs to the header, a good record, damage or the
// tail, in this order and without overlap, and good records decode or fail with
// an error.
func FuzzScan(f *testing.F) {
	good := newHeader(1, 1)
	for _, p := range []string{"a", strings.Repeat("b", 300), ""} {
		good = append(good, appendRecord(nil, []byte(p), 1, 1)...)
	}
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add(good[5:])
	f.Add(append(oldHeader(1), good[headerSize:]...))
	f.Add(bytes.Repeat([]byte(marker), 100))
	f.Add([]byte{})
	hole := bytes.Clone(good)
	clear(hole[60:90])
	f.Add(hole)
	f.Fuzz(func(t *testing.T, data []byte) {
		covered := make([]bool, len(data))
		cover := func(from, to int64) {
			for i := from; i < to; i++ {
				if covered[i] {
					t.Fatalf("byte %d belongs to two", i)
				}
				covered[i] = true
			}
		}
		rep, err := scan("f", data, func(r *Record, raw []byte) error {
			cover(r.Offset, r.Offset+int64(len(raw)))
			_, _ = r.Payload(nil)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range rep.Damage {
			cover(d.Offset, d.Offset+d.Length)
		}
		if rep.Torn != nil {
			cover(rep.Torn.Offset, int64(len(data)))
		}
		if _, size, ok := parseHeader(data); ok {
			cover(0, int64(size))
		}
		for i, c := range covered {
			if !c {
				t.Fatalf("byte %d belongs to none", i)
			}
		}
	})
}

// Payloads that come together share records up to a size, in their order, and a
// large one has its own.
func TestSmallPayloadsShareRecords(t *testing.T) {
	t.Parallel()
	var b Batch
	var all []byte
	sizes := []int{10, 0, recordBytes - 10, 1, recordBytes + 1, 5, recordBytes - 5, 7}
	for i, size := range sizes {
		p := bytes.Repeat([]byte{byte(i)}, size)
		all = append(all, p...)
		b.add(p, Entry{Spans: i, Arrival: int64(i)})
	}
	var got []byte
	var records []string
	written, n := appendRecords(newHeader(1, 1), &b)
	rep, err := scan("f", written, func(r *Record, _ []byte) error {
		p, err := r.Payload(nil)
		got = append(got, p...)
		records = append(records, fmt.Sprintf("%d bytes, %d spans, at %d", len(p)-recordBytes, r.Spans, r.Arrival))
		return err
	})
	if err != nil || rep.Torn != nil || len(rep.Damage) > 0 || rep.Records != n || !bytes.Equal(got, all) {
		t.Fatalf("read %d bytes of %d: %v, %+v", len(got), len(all), err, rep)
	}
	want := []string{"0 bytes, 3 spans, at 2", "-262143 bytes, 3 spans, at 3", "1 bytes, 4 spans, at 4", "0 bytes, 11 spans, at 6", "-262137 bytes, 7 spans, at 7"}
	if !slices.Equal(records, want) {
		t.Errorf("records %q, want %q", records, want)
	}
}
