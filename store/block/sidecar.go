package block

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"

	"github.com/FastFilter/xorfilter"

	"etude/internal/fs"
	"etude/trace"
)

// The sidecar lies beside a block and tells, without a look into data.parquet,
// which row groups a query can skip: a few bounds, and one filter of everything
// that occurs in the row group (see summary.go). It is ours alone: a real Tempo
// ignores it. Whatever is wrong with it, it is made anew from the block.
//
// All numbers are little-endian.
//
//	"etudeSC" and the version, 8 bytes
//	u64 size of data.parquet, u32 CRC-32C of its footer, u32 row groups
//	for each row group:
//	  u32 spans, u32 traces, 16 bytes first trace id, 16 bytes last
//	  u64 least start, u64 greatest end, i64 first arrival, i64 last
//	  i64 least duration, i64 greatest, u32 flags
//	  u64 seed, u32 segment length, u32 segments, u32 n, n bytes: a binary fuse filter
//	u32 CRC-32C of everything before
const (
	sidecarMagic   = "etudeSC"
	sidecarVersion = 1

	// flagOddTimes: a span has no start, or ends before it starts. The times of
	// traces that Tempo's columns have are then not those that a View has.
	flagOddTimes = 1
)

// partFacts is what the sidecar says of a row group.
type partFacts struct {
	partInfo
	traces                   int
	first, last              trace.TraceID
	minDuration, maxDuration int64
	flags                    uint32
	filter                   xorfilter.BinaryFuse[uint8]
}

// stamp ties a sidecar to the file from which it was made.
type stamp struct {
	size   int64
	footer uint32 // CRC-32C
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendSidecar encodes a sidecar.
func appendSidecar(b []byte, s stamp, parts []partFacts) []byte {
	b = append(b, sidecarMagic...)
	b = append(b, sidecarVersion)
	le := binary.LittleEndian
	b = le.AppendUint64(b, uint64(s.size))
	b = le.AppendUint32(b, s.footer)
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
		b = append(b, p.filter.Fingerprints...)
	}
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

var errStale = errors.New("it was made for another file")

// parseSidecar decodes a sidecar of a block with so many row groups.
func parseSidecar(b []byte, s stamp, groups int) ([]partFacts, error) {
	le := binary.LittleEndian
	if len(b) < len(sidecarMagic)+1 || string(b[:len(sidecarMagic)]) != sidecarMagic {
		return nil, errors.New("it is no sidecar")
	}
	if v := b[len(sidecarMagic)]; v != sidecarVersion {
		return nil, fmt.Errorf("version %d is not known", v)
	}
	body := b[:max(0, len(b)-4)]
	if len(b) < 28 || crc32.Checksum(body, castagnoli) != le.Uint32(b[len(body):]) {
		return nil, errors.New("its checksum is wrong")
	}
	r := sidecarReader{b: body[8:]}
	if int64(r.u64()) != s.size || r.u32() != s.footer {
		return nil, errStale
	}
	if n := r.u32(); int(n) != groups {
		return nil, errStale
	}
	parts := make([]partFacts, groups)
	for i := range parts {
		if err := r.part(&parts[i]); err != nil {
			return nil, fmt.Errorf("row group %d: %w", i, err)
		}
	}
	return parts, nil
}

// sidecarReader reads numbers; past the end they are zero, and short is set.
type sidecarReader struct {
	b     []byte
	short bool
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

func (r *sidecarReader) part(p *partFacts) error {
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
	f.Fingerprints = bytes.Clone(r.take(int(min(n, 1<<30))))
	f.SegmentLengthMask, f.SegmentCountLength = f.SegmentLength-1, f.SegmentCount*f.SegmentLength
	if r.short {
		return errors.New("it ends too early")
	}
	if f.SegmentLength == 0 || f.SegmentLength&(f.SegmentLength-1) != 0 || uint64(n) != (uint64(f.SegmentCount)+2)*uint64(f.SegmentLength) {
		return fmt.Errorf("a filter of %d segments of %d with %d fingerprints", f.SegmentCount, f.SegmentLength, n)
	}
	return nil
}

// writeSidecar puts a sidecar beside a block, in place of one that is there.
func writeSidecar(fsys fs.FS, dir string, s stamp, parts []partFacts) (err error) {
	name := filepath.Join(dir, sidecarName)
	temp := name + tempSuffix
	fsys.Remove(temp) // of a write that did not end
	f, err := fsys.Create(temp)
	if err != nil {
		return err
	}
	_, err = f.Write(appendSidecar(nil, s, parts))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, fsys.Remove(temp))
	}
	if err := fsys.Rename(temp, name); err != nil {
		return err
	}
	return fsys.SyncDir(dir)
}
