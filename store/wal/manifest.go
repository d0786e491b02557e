package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"

	"etude/internal/fs"
)

// The manifest lists the segments that must exist, and the least that each must hold, so that the start notices a
// file that is missing, cut short or exchanged.
//
// Invariant: the manifest never claims more than the disk has, whatever the moment
// of a crash, so it raises no false alarm. And it claims every segment with
// acknowledged records, so no true loss escapes it. Hence the order of steps:
//
//   - begin: the committer makes the segment with its header and name durable, then lists it in the manifest, then writes the first record. A crash in between leaves a
//     segment without records that is not listed.
//   - grow: the synced length of the segment is noted by appending to the manifest,
//     about once a second and without a sync. A crash loses a note, not a claim
//     that was made.
//   - remove: the segment gets the suffix .removed, durably; then the manifest
//     drops it; then the file is removed. Each start finishes half-done removals.
//     On a full disk the removed file is emptied first, so that the manifest finds
//     room.
//
// Every change but a note replaces the file as a whole by rename. It has 32 bytes
// a segment, and segments come by the minute.
//
// Rejected: numbers and counts of each segment in the header of the next. That detects a missing segment in the
// middle, but never the last. Also rejected: a sync of the manifest with each commit. It would double what an
// acknowledgement costs to protect the counts of one second.
//
// Order of locks: manifest.mu before Log.mu.
type manifest struct {
	fs  fs.FS
	dir string

	mu      sync.Mutex
	store   uint64 // names the log; never 0
	next    uint64 // number of the next segment, never used before
	entries map[uint64]entry
	notes   fs.File // the manifest, open to append; nil when it must be opened
}

// entry is a segment that must exist.
type entry struct {
	number  uint64
	created int64 // unix ns
	// The segment has at least these.
	spans   int64
	records uint32
}

const (
	manifestMagic   = "etudeman"
	manifestVersion = 1
	manifestHeader  = 36
	entrySize       = 32
)

// ManifestError reports that the manifest is unusable, so the start cannot notice missing segments.
type ManifestError struct {
	File string
	Err  error
}

func (e *ManifestError) Error() string {
	return fmt.Sprintf("manifest %s: %v: segments that are missing from the log cannot be noticed", e.File, e.Err)
}

func (e *ManifestError) Unwrap() error { return e.Err }

func (m *manifest) path() string { return filepath.Join(folder(m.dir), manifestName) }

// load reads the manifest. Found is false if there is none. The error reports a manifest that is too new, or a
// damaged one, of which load uses the good entries.
func (m *manifest) load() (found bool, err error) {
	m.entries = map[uint64]entry{}
	data, err := fs.ReadStart(m.fs, m.path(), maxManifest)
	switch {
	case fs.IsNotExist(err):
		return false, nil
	case err == nil:
		err = m.parse(data)
	}
	var newer *VersionError
	if err != nil && !errors.As(err, &newer) {
		err = &ManifestError{File: m.path(), Err: err}
	}
	return true, err
}

// parse reads all good entries. One write made the entries that the header counts; the following entries are
// notes, of which the last may be torn.
func (m *manifest) parse(data []byte) error {
	if len(data) < manifestHeader || string(data[:8]) != manifestMagic || !checked(data[:manifestHeader]) {
		return errors.New("bad header")
	}
	if v := binary.LittleEndian.Uint32(data[28:]); v > manifestVersion {
		return &VersionError{File: m.path(), Version: v}
	}
	m.store, m.next = binary.LittleEndian.Uint64(data[8:]), binary.LittleEndian.Uint64(data[16:])
	count, bad := int(binary.LittleEndian.Uint32(data[24:])), 0
	for i := 0; ; i++ {
		at := manifestHeader + i*entrySize
		if at+entrySize > len(data) {
			bad += max(0, count-i)
			break
		}
		e, ok := parseEntry(data[at : at+entrySize])
		_, listed := m.entries[e.number]
		switch {
		case ok && (i < count || listed):
			m.entries[e.number] = e
		case i < count:
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d entries are damaged", bad, count)
	}
	return nil
}

func checked(b []byte) bool {
	n := len(b) - 4
	return crc32.Checksum(b[:n], castagnoli) == binary.LittleEndian.Uint32(b[n:])
}

func parseEntry(b []byte) (e entry, ok bool) {
	u64 := binary.LittleEndian.Uint64
	e = entry{number: u64(b), created: int64(u64(b[8:])), spans: int64(u64(b[16:])), records: binary.LittleEndian.Uint32(b[24:])}
	return e, checked(b)
}

func appendEntry(b []byte, e entry) []byte {
	start := len(b)
	for _, v := range []uint64{e.number, uint64(e.created), uint64(e.spans)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, e.records)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

func (m *manifest) encode() []byte {
	b := append([]byte(nil), manifestMagic...)
	b = binary.LittleEndian.AppendUint64(b, m.store)
	b = binary.LittleEndian.AppendUint64(b, m.next)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.entries)))
	b = binary.LittleEndian.AppendUint32(b, manifestVersion)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	for _, number := range slices.Sorted(maps.Keys(m.entries)) {
		b = appendEntry(b, m.entries[number])
	}
	return b
}

// save replaces the manifest on disk; the caller holds mu.
func (m *manifest) save() error {
	m.closeNotes() // Windows does not replace an open file.
	err := fs.WriteFile(m.fs, folder(m.dir), filepath.Join(folder(m.dir), manifestTemp), m.path(), m.encode())
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

// list adds a segment, durably.
func (m *manifest) list(e entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next = max(m.next, e.number+1)
	m.entries[e.number] = e
	err := m.save()
	if err != nil {
		delete(m.entries, e.number)
	}
	return err
}

// note records the size of a growing segment. It writes to disk about once a second.
func (m *manifest) note(e entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, listed := m.entries[e.number]; !listed {
		return nil
	}
	m.entries[e.number] = e
	if m.notes == nil {
		f, err := m.fs.Append(m.path())
		if err != nil {
			return fmt.Errorf("note in manifest: %w", err)
		}
		m.notes = f
	}
	if err := writeAll(m.notes, appendEntry(nil, e)); err != nil {
		m.closeNotes() // A part of the note may be in the file: later notes would not be aligned.
		return errors.Join(fmt.Errorf("note in manifest: %w", err), m.save())
	}
	return nil
}

// strike removes segments from the list, durably.
func (m *manifest) strike(numbers []uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := maps.Clone(m.entries)
	for _, number := range numbers {
		delete(m.entries, number)
	}
	if len(m.entries) == len(before) {
		return nil
	}
	err := m.save()
	if err != nil {
		m.entries = before
	}
	return err
}

// claim raises a segment's required contents, in memory; the next save writes it.
func (m *manifest) claim(number uint64, spans int64, records uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, listed := m.entries[number]; listed {
		e.spans, e.records = max(e.spans, spans), max(e.records, records)
		m.entries[number] = e
	}
}

func (m *manifest) closeNotes() {
	if m.notes != nil {
		_ = m.notes.Close() // Nothing depends on a note.
		m.notes = nil
	}
}

// settle writes all claims.
func (m *manifest) settle() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.save()
}

func newStore() uint64 { return rand.Uint64() | 1 }
