package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"etude/internal/fs"
	"etude/store/wal"
)

// Sync selects when the log makes a payload durable; see [wal.Sync].
type Sync = wal.Sync

// The policies.
const (
	SyncGroup    = wal.SyncGroup
	SyncInterval = wal.SyncInterval
)

// Options of a store. Zero limits mean no limit.
type Options struct {
	Dir string // data directory; Open creates it if necessary and locks it
	FS  fs.FS  // the operating system's

	Retention    time.Duration // how long spans are kept after they were received
	MaxDisk      int64         // bytes of log and blocks on disk; the oldest spans leave first
	HeadMaxBytes int64         // bytes of memory of the Tables; the oldest become a block, or leave
	HeadMaxSpans int64         // spans in the Tables; the oldest become a block, or leave
	MaxQueue     int64         // bytes of payload waiting to be stored, more is refused; 64 MiB
	Limits       *Limits       // of what one span brings; DefaultLimits

	Sync         Sync
	SyncInterval time.Duration // for SyncInterval; 1 s

	// A Table is sealed when it has as many spans (65,536) or payload bytes (32
	// MiB), either at most a quarter of a limit above, or is as old (5 min).
	TableSpans int
	TableBytes int64
	TableAge   time.Duration

	Blocks *BlockOptions // nil: the store drops spans that do not fit into the head

	Now func() time.Time // the system's clock, which may jump; time.Now

	Priority *Priority    // of queries over writes; none by default
	Observer Observer     // none by default
	Logger   *slog.Logger // discards by default
}

// Observer receives the durations of a store's work. Many goroutines call its methods while payloads wait, so a
// method must return at once.
type Observer interface {
	Acknowledged(time.Duration) // a successful Append, from its call on
	Applied(time.Duration)      // adding the payloads of one write to the head
	Synced(time.Duration)       // a sync of the log
	Sealed(time.Duration)       // giving a Table its final form, in parallel with other work
	Cut(time.Duration)          // making a block of Tables, in parallel with other work
}

// unobserved is the Observer of a store without one.
type unobserved struct{}

func (unobserved) Acknowledged(time.Duration) {}
func (unobserved) Applied(time.Duration)      {}
func (unobserved) Synced(time.Duration)       {}
func (unobserved) Sealed(time.Duration)       {}
func (unobserved) Cut(time.Duration)          {}

// Store is an open store. Its methods may be called from any goroutine.
type Store struct {
	o      Options
	bounds atomic.Pointer[Bounds]
	clock  *clock
	log    *wal.Log
	head   head
	blocks *blocks // nil without blocks

	waiting  atomic.Int64    // bytes admitted and not yet answered
	waiters  sync.Pool       // *waiter
	commits  chan *wal.Batch // committer -> applier, in log order
	applied  chan struct{}   // closed when the applier has ended
	rotating atomic.Bool     // a rotation is on its way

	moved atomic.Int64 // time of the last answer, or when a payload began to wait alone, unix ns

	closing   chan struct{} // closed when Close begins: the applier pauses no more
	abandoned chan struct{} // closed when Close has waited long enough: batches stay in the log
	nudge     chan struct{} // wakes the keeper
	stop      chan struct{}
	kept      chan struct{} // closed when the keeper has ended
	garbageMu sync.Mutex
	garbage   []leaving     // segments that the keeper must remove
	cutNudge  chan struct{} // wakes the cutter
	cutEnd    chan struct{} // closed when the cutter has ended

	compactEnd chan struct{} // closed when the compactor has ended
	surveyEnd  chan struct{} // closed when the surveyor has ended
	sealing    sync.WaitGroup

	once     sync.Once // of Close
	closeErr error
	count    counters
	lost     losses
}

const (
	defaultMaxQueue   = 64 << 20
	defaultTableBytes = 32 << 20
	minTableBytes     = 64 << 10
	keepEvery         = time.Second
)

// Open opens the store in a data directory and replays its log. Open logs and counts damage, and continues. It
// returns an error if it cannot use the directory, if another process has locked it (*[fs.LockedError]), or if
// a newer program has written to it (*[wal.VersionError]).
func Open(o Options) (*Store, error) {
	o.setDefaults()
	s := &Store{
		o:         o,
		head:      head{growing: newSemaphore(), limits: *o.Limits},
		commits:   make(chan *wal.Batch, 4),
		applied:   make(chan struct{}),
		closing:   make(chan struct{}),
		abandoned: make(chan struct{}),
		nudge:     make(chan struct{}, 1),
		stop:      make(chan struct{}),
		kept:      make(chan struct{}),
		cutNudge:  make(chan struct{}, 1),
		cutEnd:    make(chan struct{}),

		compactEnd: make(chan struct{}),
		surveyEnd:  make(chan struct{}),
	}
	log, err := wal.Open(wal.Options{
		Dir: o.Dir, FS: o.FS, Sync: o.Sync, SyncInterval: o.SyncInterval,
		SegmentSpans: o.TableSpans, SegmentBytes: o.TableBytes, SegmentAge: o.TableAge,
		Committed: s.committed,
		Synced:    o.Observer.Synced,
		Logger:    o.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.log, s.clock = log, newClock(o.Now, o.Logger)
	s.SetBounds(Bounds{Disk: o.MaxDisk, Memory: o.HeadMaxBytes, Spans: o.HeadMaxSpans})
	covered, err := s.openBlocks()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), log.Close())
	}
	s.replay(covered)
	s.enforce()
	go s.apply()
	go s.keep()
	if s.blocks != nil {
		go s.cutLoop()
		go s.compactLoop()
		go s.surveyLoop(s.blocks.bare)
	} else {
		close(s.surveyEnd)
		close(s.cutEnd)
		close(s.compactEnd)
	}
	return s, nil
}

func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = unobserved{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Limits == nil {
		o.Limits = new(DefaultLimits())
	}
	if o.MaxQueue <= 0 {
		o.MaxQueue = defaultMaxQueue
	}
	if o.TableSpans <= 0 {
		o.TableSpans = 1 << 16
		if o.HeadMaxSpans > 0 {
			o.TableSpans = int(max(1, min(int64(o.TableSpans), o.HeadMaxSpans/4)))
		}
	}
	if o.TableAge <= 0 {
		o.TableAge = 5 * time.Minute
		if o.Blocks != nil && o.Blocks.After > 0 {
			o.TableAge = min(o.TableAge, o.Blocks.After)
		}
	}
	if o.TableBytes <= 0 {
		o.TableBytes = defaultTableBytes
		for _, limit := range []int64{o.MaxDisk, o.HeadMaxBytes} {
			if limit > 0 {
				o.TableBytes = max(minTableBytes, min(o.TableBytes, limit/4))
			}
		}
	}
}
