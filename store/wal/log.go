package wal

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"etude/internal/fs"
)

// ErrClosed is the error of a closed log.
var ErrClosed = errors.New("log is closed")

// Sync selects when the log makes a record durable.
type Sync int

const (
	// SyncGroup makes every record durable before it counts as committed. One sync serves all waiting records.
	SyncGroup Sync = iota
	// SyncInterval commits a record as soon as the operating system has it, and syncs periodically. A crash of
	// the program loses nothing. A power cut or a crash of the operating system loses records acknowledged
	// since the last sync.
	SyncInterval
)

func (s Sync) String() string {
	if s == SyncInterval {
		return "interval"
	}
	return "group"
}

// MarshalText returns group or interval.
func (s Sync) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText accepts group or interval.
func (s *Sync) UnmarshalText(b []byte) error {
	switch string(b) {
	case "group":
		*s = SyncGroup
	case "interval":
		*s = SyncInterval
	default:
		return fmt.Errorf("unknown sync policy %q: want group or interval", b)
	}
	return nil
}

// Options of a log. Zero values mean the defaults named.
type Options struct {
	Dir          string // data directory; Open creates it if necessary
	FS           fs.FS  // the operating system's
	Sync         Sync
	SyncInterval time.Duration // for SyncInterval: time between two syncs; 1 s

	// A segment is finished when it has as many spans (65,536), payload bytes
	// before compression (32 MiB), or is as old (5 min).
	SegmentSpans int
	SegmentBytes int64
	SegmentAge   time.Duration

	// The committer calls Committed with each batch, in the order of the log; a batch has its Segment or its
	// Err. While Committed runs the log commits nothing, so it must pass the batch on and return. The final
	// owner of the batch gives it to Recycle.
	Committed func(*Batch)
	// The committer calls Synced, unless nil, with the duration of each sync of records, also of a failed one.
	Synced func(time.Duration)
	Logger *slog.Logger // discards
}

// Log is a write-ahead log. Any goroutine may call its methods; Close must be the last call.
type Log struct {
	o        Options
	lock     io.Closer // nil when closed
	pins     []pinned
	manifest manifest
	found    []Segment
	last     uint64          // highest number found at the start
	aliens   map[uint64]bool // numbers whose file belongs to another log; set by Open

	queue queue
	done  chan struct{} // closed when the committer has ended

	seg        writer    // the committer's
	complained time.Time // the committer's: when it last logged an error
	trouble    atomic.Pointer[error]

	mu     sync.Mutex // guards what follows
	active uint64     // number of the current segment, 0 for none
	next   uint64     // number of the segment after it
	sizes  map[uint64]int64
	disk   int64 // sum of sizes
	syncs  uint64

	problems []*Problem
}

// Open locks a data directory and finds its segments. Replay reads the records. A *[fs.LockedError] means that
// the directory is in use, a *[VersionError] that a newer program has written here.
func Open(o Options) (*Log, error) {
	o.setDefaults()
	if err := o.FS.Mkdir(folder(o.Dir)); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	lock, err := o.FS.Lock(filepath.Join(o.Dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("open data directory %s: %w", o.Dir, err)
	}
	l := &Log{o: o, lock: lock, done: make(chan struct{}), next: 1, sizes: map[uint64]int64{}}
	l.manifest = manifest{fs: o.FS, dir: o.Dir}
	l.queue.wake, l.queue.maxSpans = make(chan struct{}, 1), max(1, o.SegmentSpans/4)
	err = l.pin()
	if err == nil {
		err = l.find()
	}
	if err != nil {
		return nil, errors.Join(err, l.unpin(), lock.Close())
	}
	go l.run()
	return l, nil
}

func (o *Options) setDefaults() {
	if o.FS == nil {
		o.FS = fs.OS
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Synced == nil {
		o.Synced = func(time.Duration) {}
	}
	if o.SyncInterval <= 0 {
		o.SyncInterval = time.Second
	}
	if o.SegmentSpans <= 0 {
		o.SegmentSpans = 1 << 16
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 32 << 20
	}
	if o.SegmentAge <= 0 {
		o.SegmentAge = 5 * time.Minute
	}
}

// ID returns the random number that identifies the log. It distinguishes the log's segments from the segments
// of every other log.
func (l *Log) ID() uint64 { return l.manifest.store }

// Segments returns the segments that Open has found, oldest first.
func (l *Log) Segments() []Segment { return l.found }

// Disk returns the bytes of all segments and damaged copies.
func (l *Log) Disk() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.disk
}

// Size returns the bytes on disk of some segments.
func (l *Log) Size(numbers ...uint64) (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, number := range numbers {
		n += l.sizes[number]
	}
	return n
}

// Syncs returns the number of syncs of segments so far.
func (l *Log) Syncs() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.syncs
}

func (l *Log) setSize(number uint64, size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.disk += size - l.sizes[number]
	l.sizes[number] = size
	if size == 0 {
		delete(l.sizes, number)
	}
}
