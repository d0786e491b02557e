package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/s2"
)

// Version is the format that this package writes. It reads all versions up to this one.
//
//	1  segment header, records of OTLP payloads, codecs none and s2
//	2  the header also names the log and the segment
const Version = 2

// MaxPayload is the largest payload of one record, in bytes before compression.
const MaxPayload = 64 << 20

// maxSegment is the most bytes by which a segment may exceed its size: a last batch, of which one payload may
// have any size. A reader ignores bytes beyond that. maxManifest allows about a million entries.
const (
	maxSegment  = 96 << 20
	maxManifest = 64 << 20
)

const (
	magic       = "etudewal"
	headerSize1 = 24 // of version 1, and of the part that every version has
	headerSize  = 48
	marker      = "\xe7rec"
	recordSize  = 32 // of the part before the payload
	kindSpans   = 1
	codecNone   = 0
	codecS2     = 1
	checkedFrom = 8 // the checksum of a record covers what follows it
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// PayloadError reports that a payload does not fit into a record. The caller must send less.
type PayloadError struct{ Size int }

func (e *PayloadError) Error() string {
	return fmt.Sprintf("payload of %d bytes is larger than the log takes (%d): send fewer spans at once", e.Size, MaxPayload)
}

// InvalidSpans marks the error as permanent: a retry does not help.
func (e *PayloadError) InvalidSpans() bool { return true }

// VersionError reports that a newer program has written a segment.
type VersionError struct {
	File    string
	Version uint32
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("open %s: its format is version %d, this program reads up to %d: start a newer one, or choose another data directory",
		e.File, e.Version, Version)
}

// header is the beginning of a segment.
type header struct {
	created int64
	version uint32
	store   uint64 // the log that the segment is part of; 0 in version 1
	number  uint64 // of the segment; 0 in version 1
}

// appendHeader appends a header of the current version.
func appendHeader(b []byte, h header) []byte {
	b = appendHeader1(b, h.created, Version)
	start := len(b)
	b = binary.LittleEndian.AppendUint64(b, h.store)
	b = binary.LittleEndian.AppendUint64(b, h.number)
	b = binary.LittleEndian.AppendUint32(b, 0)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// appendHeader1 appends the part that every version has.
func appendHeader1(b []byte, created int64, version uint32) []byte {
	start := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint64(b, uint64(created))
	b = binary.LittleEndian.AppendUint32(b, version)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// parseHeader reads a segment's header and its size; ok is false if the header is damaged; size is then the
// likely offset of the first record. Of a newer version it reads only the version and the time.
func parseHeader(b []byte) (h header, size int, ok bool) {
	if len(b) < headerSize1 || string(b[:8]) != magic || crc32.Checksum(b[:20], castagnoli) != binary.LittleEndian.Uint32(b[20:]) {
		return h, likelyHeaderSize(b), false
	}
	h = header{created: int64(binary.LittleEndian.Uint64(b[8:])), version: binary.LittleEndian.Uint32(b[16:])}
	if h.version != 2 {
		return h, headerSize1, true
	}
	if len(b) < headerSize || crc32.Checksum(b[24:44], castagnoli) != binary.LittleEndian.Uint32(b[44:]) {
		return h, min(headerSize, len(b)), false
	}
	h.store, h.number = binary.LittleEndian.Uint64(b[24:]), binary.LittleEndian.Uint64(b[32:])
	return h, headerSize, true
}

func likelyHeaderSize(b []byte) int {
	if len(b) >= headerSize+len(marker) && string(b[headerSize:headerSize+len(marker)]) == marker {
		return headerSize
	}
	return min(headerSize1, len(b))
}

// appendRecord appends a record to dst. It stores a payload uncompressed if compression does not make it smaller.
func appendRecord(dst, payload []byte, spans int, arrival int64) []byte {
	start := len(dst)
	room := recordSize + max(s2.MaxEncodedLen(len(payload)), len(payload))
	dst = slices.Grow(dst, room)
	b := dst[start : start+room]
	codec, stored := byte(codecS2), s2.Encode(b[recordSize:], payload)
	if len(stored) >= len(payload) {
		codec = codecNone
		stored = b[recordSize : recordSize+copy(b[recordSize:], payload)]
	}
	b = b[:recordSize+len(stored)]
	copy(b, marker)
	binary.LittleEndian.PutUint32(b[8:], uint32(len(stored)))
	binary.LittleEndian.PutUint32(b[12:], uint32(len(payload)))
	binary.LittleEndian.PutUint64(b[16:], uint64(arrival))
	binary.LittleEndian.PutUint32(b[24:], uint32(spans))
	b[28], b[29], b[30], b[31] = kindSpans, codec, 0, 0
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[checkedFrom:], castagnoli))
	return dst[:start+len(b)]
}

// Record is an OTLP request as it is in a segment: one payload, or several of one batch. It shares the memory
// of its reader.
type Record struct {
	Offset  int64 // of its first byte in the segment
	Arrival int64 // arrival of the last payload, unix ns
	Spans   int

	codec  byte
	raw    int
	stored []byte
}

// Payload returns the OTLP bytes, in dst's memory when that is large enough.
func (r *Record) Payload(dst []byte) ([]byte, error) {
	if r.codec == codecNone {
		return append(dst[:0], r.stored...), nil
	}
	if n, err := s2.DecodedLen(r.stored); err != nil || n != r.raw {
		return nil, fmt.Errorf("decompress record: %d bytes announced, %d found", r.raw, n)
	}
	out, err := s2.Decode(dst[:cap(dst)], r.stored)
	if err != nil {
		return nil, fmt.Errorf("decompress record: %w", err)
	}
	return out, nil
}

// parseRecord reads the record that b begins with and its length in bytes. For a bad record, reason describes
// the fault.
func parseRecord(b []byte) (r Record, size int, reason string) {
	switch {
	case len(b) < recordSize:
		return r, 0, "cut short"
	case string(b[:4]) != marker:
		return r, 0, "no record begins here"
	}
	stored := int64(binary.LittleEndian.Uint32(b[8:]))
	if stored > int64(len(b)-recordSize) {
		return r, 0, "cut short"
	}
	size = recordSize + int(stored)
	if crc32.Checksum(b[checkedFrom:size], castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return r, size, "wrong checksum"
	}
	r = Record{
		Arrival: int64(binary.LittleEndian.Uint64(b[16:])),
		Spans:   int(binary.LittleEndian.Uint32(b[24:])),
		codec:   b[29],
		raw:     int(binary.LittleEndian.Uint32(b[12:])),
		stored:  b[recordSize:size:size],
	}
	if b[28] != kindSpans || r.codec > codecS2 || r.raw > MaxPayload {
		return r, size, fmt.Sprintf("unknown record: kind %d, codec %d, %d bytes", b[28], r.codec, r.raw)
	}
	return r, size, ""
}
