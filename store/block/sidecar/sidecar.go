// Package sidecar writes and reads the file by which a query skips row groups of a block. The file also has the
// scopes and resources of their spans.
package sidecar

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"

	"github.com/FastFilter/xorfilter"

	"etude/internal/fs"
	"etude/store/block/layout"
	"etude/trace"
)

// The sidecar is a file in the block's folder. For each row group it has a few bounds and one filter of
// everything that occurs there (see summary.go), so that a query can skip the row group without reading
// data.parquet. A real Tempo ignores it. A missing or invalid sidecar is rebuilt from the block.
//
// All numbers are little-endian.
//
//	"etudeSC" and the version, 8 bytes
//	u64 size of data.parquet, u32 CRC-32C of its footer, u32 row groups
//	for each row group:
//	  u32 spans, u32 traces, 16 bytes first trace id, 16 bytes last
//	  u64 least start, u64 greatest end, i64 first arrival, i64 last
//	  i64 least duration, i64 greatest, u32 flags
//	  u64 seed, u32 segment length, u32 segments, u32 n, n times 2 bytes: a binary fuse filter
//	  u32 n, n times u64 hash, u64 least, u64 greatest: ranges by ascending hash, see pairs.go
//	  u64 place of the frame in the sidecar, u32 its length, 0 for none
//	u32 CRC-32C of everything before
//	the frames, see frame.go
//
// A reader loads a frame when it opens the row group. A sidecar of version 2 has no ranges; it is used until it is
// rebuilt.
const (
	sidecarMagic = "etudeSC"
	Version      = 3
	noRanges     = 2 // the version before

	// flagOddTimes: a span has no start, or ends before it starts. The trace times of Tempo's columns then
	// differ from those of a View.
	flagOddTimes = 1

	// flagNoKeys: the filter has no pairs of names and keys.
	flagNoKeys = 2
)

// Facts has the sidecar's facts about a row group.
type Facts struct {
	layout.PartInfo
	traces                   int
	first, last              trace.TraceID
	minDuration, maxDuration int64
	flags                    uint32
	filter                   xorfilter.BinaryFuse[uint16]
	ranges                   []valueRange // by ascending hash
	frame                    []byte       // until Encode writes it
	frameAt                  int64        // in the sidecar
	FrameLength              int
	unknown                  bool // only PartInfo is known
}

// Unknown returns facts for a row group without a sidecar. They exclude nothing.
func Unknown(info layout.PartInfo) Facts {
	return Facts{PartInfo: info, unknown: true, flags: flagOddTimes}
}

// OddTimes reports whether a span has no start, or ends before it starts.
func (f *Facts) OddTimes() bool { return f.flags&flagOddTimes != 0 }

// Stamp ties a sidecar to its data.parquet.
type Stamp struct {
	Size   int64
	Footer uint32 // CRC-32C
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode encodes a sidecar and sets the place of each frame in its Facts.
func Encode(s Stamp, parts []Facts) []byte {
	at := int64(sidecarHead)
	for i := range parts {
		at += partHead + 2*int64(len(parts[i].filter.Fingerprints)) + rangeBytes*int64(len(parts[i].ranges))
	}
	for i := range parts {
		p := &parts[i]
		p.frameAt, p.FrameLength = at, len(p.frame)
		at += int64(len(p.frame))
	}
	b := appendFacts(make([]byte, 0, at), s, parts)
	for i := range parts {
		b = append(b, parts[i].frame...)
		parts[i].frame = nil
	}
	return b
}

const (
	sidecarHead = 8 + 16 + 4 // the checksum included
	partHead    = 8 + 32 + 48 + 4 + 20 + 4 + 12
	rangeBytes  = 24
)

func appendFacts(b []byte, s Stamp, parts []Facts) []byte {
	b = append(b, sidecarMagic...)
	b = append(b, Version)
	le := binary.LittleEndian
	b = le.AppendUint64(b, uint64(s.Size))
	b = le.AppendUint32(b, s.Footer)
	b = le.AppendUint32(b, uint32(len(parts)))
	for i := range parts {
		p := &parts[i]
		b = le.AppendUint32(b, uint32(p.Spans))
		b = le.AppendUint32(b, uint32(p.traces))
		b = append(append(b, p.first[:]...), p.last[:]...)
		for _, n := range [...]uint64{p.MinStart, p.MaxEnd, uint64(p.FirstArrival), uint64(p.LastArrival), uint64(p.minDuration), uint64(p.maxDuration)} {
			b = le.AppendUint64(b, n)
		}
		b = le.AppendUint32(b, p.flags)
		b = le.AppendUint64(b, p.filter.Seed)
		b = le.AppendUint32(b, p.filter.SegmentLength)
		b = le.AppendUint32(b, p.filter.SegmentCount)
		b = le.AppendUint32(b, uint32(len(p.filter.Fingerprints)))
		for _, f := range p.filter.Fingerprints {
			b = le.AppendUint16(b, f)
		}
		b = le.AppendUint32(b, uint32(len(p.ranges)))
		for _, r := range p.ranges {
			b = le.AppendUint64(le.AppendUint64(le.AppendUint64(b, r.hash), r.least), r.greatest)
		}
		b = le.AppendUint64(b, uint64(p.frameAt))
		b = le.AppendUint32(b, uint32(p.FrameLength))
	}
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

var errStale = errors.New("it was made for another file")

// Parse decodes the sidecar of a block with the given number of row groups.
func Parse(b []byte, s Stamp, groups int) ([]Facts, error) {
	if len(b) < len(sidecarMagic)+1 || string(b[:len(sidecarMagic)]) != sidecarMagic {
		return nil, errors.New("it is no sidecar")
	}
	v := b[len(sidecarMagic)]
	if v != Version && v != noRanges {
		return nil, fmt.Errorf("version %d is not known", v)
	}
	r := sidecarReader{b: b[8:], noRanges: v == noRanges}
	if int64(r.u64()) != s.Size || r.u32() != s.Footer {
		return nil, errStale
	}
	if n := r.u32(); int(n) != groups {
		return nil, errStale
	}
	parts := make([]Facts, groups)
	for i := range parts {
		if err := r.part(&parts[i]); err != nil {
			return nil, fmt.Errorf("row group %d: %w", i, err)
		}
	}
	end := len(b) - len(r.b)
	if r.u32() != crc32.Checksum(b[:end], castagnoli) {
		return nil, errors.New("its checksum is wrong")
	}
	at := int64(end + 4)
	for i := range parts {
		p := &parts[i]
		if p.frameAt != at || int64(p.FrameLength) > int64(len(b))-at {
			return nil, errors.New("its frames are not where they are said to be")
		}
		if frame := b[at : at+int64(p.FrameLength)]; p.FrameLength > 0 && !soundFrame(frame) {
			return nil, errFrame
		}
		at += int64(p.FrameLength)
	}
	if at != int64(len(b)) {
		return nil, fmt.Errorf("it has %d bytes, not %d", len(b), at)
	}
	return parts, nil
}

// sidecarReader reads numbers; past the end it returns zero and sets short.
type sidecarReader struct {
	b        []byte
	short    bool
	noRanges bool
}

func (r *sidecarReader) take(n int) []byte {
	if n > len(r.b) {
		r.b, r.short = nil, true
		return make([]byte, min(n, 16))
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken
}

func (r *sidecarReader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *sidecarReader) u64() uint64 { return binary.LittleEndian.Uint64(r.take(8)) }

func (r *sidecarReader) part(p *Facts) error {
	p.Spans, p.traces = int(r.u32()), int(r.u32())
	copy(p.first[:], r.take(16))
	copy(p.last[:], r.take(16))
	p.MinStart, p.MaxEnd = r.u64(), r.u64()
	p.FirstArrival, p.LastArrival = int64(r.u64()), int64(r.u64())
	p.minDuration, p.maxDuration = int64(r.u64()), int64(r.u64())
	p.flags = r.u32()
	f := &p.filter
	f.Seed, f.SegmentLength, f.SegmentCount = r.u64(), r.u32(), r.u32()
	n := r.u32()
	prints := r.take(int(min(2*uint64(n), 1<<30)))
	if !r.noRanges {
		r.ranges(p)
	}
	p.frameAt, p.FrameLength = int64(r.u64()), int(r.u32())
	f.SegmentLengthMask, f.SegmentCountLength = f.SegmentLength-1, f.SegmentCount*f.SegmentLength
	if r.short {
		return errors.New("it ends too early")
	}
	if f.SegmentLength == 0 || f.SegmentLength&(f.SegmentLength-1) != 0 || uint64(n) != (uint64(f.SegmentCount)+2)*uint64(f.SegmentLength) {
		return fmt.Errorf("a filter of %d segments of %d with %d fingerprints", f.SegmentCount, f.SegmentLength, n)
	}
	if !slices.IsSortedFunc(p.ranges, compareRanges) {
		return errors.New("its ranges are not in order")
	}
	f.Fingerprints = make([]uint16, n)
	for i := range f.Fingerprints {
		f.Fingerprints[i] = binary.LittleEndian.Uint16(prints[2*i:])
	}
	return nil
}

func (r *sidecarReader) ranges(p *Facts) {
	n := r.u32()
	if uint64(n)*rangeBytes > uint64(len(r.b)) {
		r.b, r.short = nil, true
		return
	}
	p.ranges = make([]valueRange, n)
	for i := range p.ranges {
		p.ranges[i] = valueRange{r.u64(), r.u64(), r.u64()}
	}
}

// Old reports whether a sidecar that Parse can use is of an earlier version.
func Old(b []byte) bool { return len(b) > len(sidecarMagic) && b[len(sidecarMagic)] < Version }

// Write writes the sidecar of a block and replaces an older one.
func Write(fsys fs.FS, dir string, s Stamp, parts []Facts) (err error) {
	name := filepath.Join(dir, layout.SidecarName)
	temp := name + layout.TempSuffix
	fsys.Remove(temp) // left by a write that did not finish
	f, err := fsys.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.Write(Encode(s, parts))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, fsys.Remove(temp))
	}
	if err := fsys.Rename(temp, name); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}
