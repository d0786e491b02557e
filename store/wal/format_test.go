package wal

import (
	"bytes"
	"encoding/binary"
	"flag"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"etude/internal/fs"
)

var update = flag.Bool("update", false, "write the segment of the present version to testdata")

func appendCRC(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// Segments of every version so far must still open, read-only.
func TestOldVersionsOpen(t *testing.T) {
	t.Parallel()
	want := []string{"short", strings.Repeat("compressible ", 100), ""}
	if *update {
		b := appendHeader(nil, 1700000000000000000)
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
	good := appendHeader(nil, 1)
	for _, p := range []string{"a", strings.Repeat("b", 300), ""} {
		good = append(good, appendRecord(nil, []byte(p), 1, 1)...)
	}
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add(good[5:])
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
		if _, _, ok := parseHeader(data); ok {
			cover(0, headerSize)
		}
		for i, c := range covered {
			if !c {
				t.Fatalf("byte %d belongs to none", i)
			}
		}
	})
}
