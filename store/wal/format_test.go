package wal

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"etude/internal/fs"
)

var update = flag.Bool("update", false, "write the segment of the present version to testdata")

func appendCRC(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// oldHeader is a header of version 1.
func oldHeader(created int64) []byte { return appendHeader1(nil, created, 1) }

// newHeader is one of the present version, of the log 77.
func newHeader(created int64, number uint64) []byte {
	return appendHeader(nil, header{created: created, store: 77, number: number})
}

// Segments of every version so far must still open, read-only.
func TestOldVersionsOpen(t *testing.T) {
	t.Parallel()
	want := []string{"short", strings.Repeat("compressible ", 100), ""}
	if *update {
		b := oldHeader(1700000000000000000)
		for i, p := range want {
			b = append(b, appendRecord(nil, []byte(p), i, int64(1700000000000000000+i))...)
		}
		dir := folder("testdata/version-1")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "00000000000000000001.wal"), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	segments, err := List(fs.OS, "testdata/version-1")
	if err != nil {
		t.Fatal(err)
	}
	if len(segments) != 1 || segments[0].Number != 1 || segments[0].Created != 1700000000000000000 {
		t.Fatalf("segments: %+v", segments)
	}
	var got []string
	rep, err := Read(fs.OS, "testdata/version-1", 1, func(r *Record) error {
		p, err := r.Payload(nil)
		if r.Spans != len(got) || r.Arrival != int64(1700000000000000000+len(got)) {
			t.Errorf("record %d: %+v", len(got), r)
		}
		got = append(got, string(p))
		return err
	})
	if err != nil || rep.Torn != nil || len(rep.Damage) > 0 {
		t.Fatalf("read: %v, %+v", err, rep)
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("payloads %q, want %q", got, want)
	}
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
