package store

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"etude/otlp"
	"etude/store/wal"
)

// joinBytes is how much log goes into one Table together when segments are small,
// as many short runs of the program leave them.
const joinBytes = 1 << 20

// Replay fills the head from the log at the start.
//
// Invariant: at every moment the Tables that are read or being read fit into
// HeadMaxBytes and HeadMaxSpans, but for one Table a worker. The result is the
// one that reading everything and then dropping the oldest would give.
//
// Tables do not depend on each other, so several cores read some each, the newest
// first. Whatever pushes the sum over a bound is therefore the oldest read so
// far. It leaves at once, with every older group, which is never read; a worker
// in the middle of a group that must leave gives it up at its next check.
//
// Rejected: oldest first, dropping from the front as the live head does. It reads
// the whole log to keep the end of it. Also rejected: reading all and enforcing
// bounds afterwards. The process was killed before it came to that, and again at
// every start.
//
// Covered are segments whose spans are in blocks. They are removed, not read.
func (s *Store) replay(covered []uint64) {
	segments := slices.DeleteFunc(slices.Clone(s.log.Segments()), func(seg wal.Segment) bool { return slices.Contains(covered, seg.Number) })
	groups := groupSegments(segments, &s.o)
	r := replayer{s: s, groups: groups, reading: make([]reading, len(groups)), began: time.Now(), oldest: s.clock.old().Add(-s.o.Retention).UnixNano()}
	r.next.Store(int64(len(groups)))
	for _, g := range groups {
		for _, seg := range g {
			r.total += seg.Size
		}
	}
	r.report.Store(r.began.UnixNano())
	var workers sync.WaitGroup
	for range min(r.workers(), len(groups)) {
		workers.Go(r.work)
	}
	workers.Wait()
	r.gone = append(r.gone, covered...)
	if err := s.log.Remove(r.gone...); err != nil {
		s.o.Logger.Error("remove old spans from disk; trying again", "error", err)
		s.garbage = append(s.garbage, leaving{segments: r.gone, logged: true})
	}
	s.log.Settle()
	for i := range r.reading {
		if p := r.reading[i].part; p != nil {
			s.head.parts = append(s.head.parts, p)
		}
	}
	r.logEnd()
}

// workerMemory is how much of the head's bound one worker needs: a Table that
// grows, its final form, and the file it is read from.
const workerMemory = 32 << 20

func (r *replayer) workers() int {
	n := runtime.GOMAXPROCS(0)
	if most := r.s.o.HeadMaxBytes; most > 0 {
		n = min(n, int(max(1, most/workerMemory)))
	}
	return n
}

// groupSegments puts neighbours together that make one small and young Table. It
// is no larger than a Table that Append fills, or a bound could drop more at once
// than it must.
func groupSegments(segments []wal.Segment, o *Options) (groups [][]wal.Segment) {
	most := min(joinBytes, o.TableBytes/16) // on disk, compressed
	var size, spans int64
	for i, seg := range segments {
		last := len(groups) - 1
		if i > 0 && size+seg.Size <= most && spans+seg.Spans <= int64(o.TableSpans) && seg.Created-groups[last][0].Created < int64(o.TableAge) {
			groups[last] = append(groups[last], seg)
			size, spans = size+seg.Size, spans+seg.Spans
			continue
		}
		groups = append(groups, segments[i:i+1:i+1])
		size, spans = seg.Size, seg.Spans
	}
	return groups
}

type replayer struct {
	s      *Store
	groups [][]wal.Segment
	began  time.Time
	oldest int64 // arrival that the retention keeps, unix ns

	mu      sync.Mutex
	reading []reading // by group
	floor   int       // groups below must leave
	why     reason    // of the last that had to leave
	gone    []uint64  // segments that leave

	next   atomic.Int64 // the group read last; workers count down
	spans  atomic.Int64
	read   atomic.Int64 // bytes of log
	total  int64
	report atomic.Int64 // when progress was last logged, unix ns
}

// reading is the progress of one group.
type reading struct {
	part  *part // when it is read to its end and stays
	bytes int64 // of memory so far
	spans int64
}

func (r *replayer) work() {
	var buf []byte
	for {
		i := int(r.next.Add(-1))
		if i < 0 {
			return
		}
		if why := r.judge(i); why != stays {
			r.drop(i, why, 0)
			continue
		}
		var p *part
		if p, buf = r.part(i, buf); p == nil {
			r.drop(i, r.judge(i), 0)
			continue
		}
		r.finish(i, p)
	}
}

// judge says whether a group need not be read. All of a group arrived before the
// one after it was begun.
func (r *replayer) judge(i int) reason {
	if age := r.s.o.Retention; age > 0 && i+1 < len(r.groups) && r.groups[i+1][0].Created < r.oldest {
		return byAge
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if i < r.floor {
		return r.why
	}
	return stays
}

// finish keeps a part unless it must leave.
func (r *replayer) finish(i int, p *part) {
	r.mu.Lock()
	late := i < r.floor // another worker has decided it meanwhile
	if !late {
		r.reading[i].part = p
	}
	r.mu.Unlock()
	if late {
		r.drop(i, r.judge(i), int64(p.spans))
		return
	}
	r.weigh(i, p.bytes, p.spans)
}

// weigh notes how large a group has become and lets the oldest leave that do not
// fit any more. It reports whether this group stays.
func (r *replayer) weigh(i int, bytes int64, spans int) bool {
	r.mu.Lock()
	r.reading[i].bytes, r.reading[i].spans = bytes, int64(spans)
	before := r.floor
	r.raiseFloor()
	var gone []int
	for j := before; j < r.floor; j++ {
		if r.reading[j].part != nil { // complete; the others are for their workers
			gone = append(gone, j)
		}
	}
	left, why := i >= r.floor, r.why
	lost := make([]int64, len(gone))
	for n, j := range gone {
		lost[n], r.reading[j] = r.reading[j].spans, reading{}
	}
	r.mu.Unlock()
	for n, j := range gone {
		r.drop(j, why, lost[n])
	}
	return left
}

// raiseFloor finds the oldest group that still fits; the caller holds mu.
func (r *replayer) raiseFloor() {
	o := r.s.replayBounds()
	var bytes, spans int64
	for j := len(r.reading) - 1; j >= r.floor; j-- {
		bytes += r.reading[j].bytes
		spans += r.reading[j].spans
		switch {
		case o.Memory > 0 && bytes > o.Memory:
			r.why = byMemory
		case o.Spans > 0 && spans > o.Spans:
			r.why = bySpans
		default:
			continue
		}
		r.floor = j + 1
		return
	}
}

// replayBounds are the head's bounds during replay. A head whose oldest
// Tables become blocks can have been a little beyond its bound, and nothing of it may
// be lost.
func (s *Store) replayBounds() Bounds {
	b := Bounds{Memory: s.o.HeadMaxBytes, Spans: s.o.HeadMaxSpans}
	if s.blocks != nil {
		b.Memory += b.Memory / 2
		b.Spans += b.Spans / 2
	}
	return b
}

// drop counts a group that leaves; its files are removed at the end, all at once.
// Spans are those that were read; 0 when the group was not read to its end, and
// then the log's own count is used.
func (r *replayer) drop(i int, why reason, spans int64) {
	var segments []uint64
	var claimed int64
	for _, seg := range r.groups[i] {
		r.read.Add(seg.Size)
		claimed += seg.Spans
		segments = append(segments, seg.Number)
	}
	if spans == 0 {
		spans = claimed
	}
	r.s.count.leftTables[why].Add(1)
	r.s.count.leftSpans[why].Add(spans)
	r.s.o.Logger.Info("old spans leave while the log is read back", "reason", why.String(), "spans", spans, "first_segment", segments[0], "segments", len(segments))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = append(r.gone, segments...)
}

// weighEvery is how many bytes of payload are read between two checks of the
// bounds.
const weighEvery = 1 << 20

var errLeaves = errors.New("the group leaves")

// part reads the segments of one Table; nil when the group must leave. A segment
// that cannot be read stays on disk, with an empty place in the head, until its
// time has come.
func (r *replayer) part(i int, buf []byte) (*part, []byte) {
	p, group, unweighed := &part{table: r.s.head.tableAfter(nil)}, r.groups[i], 0
	add := func(rec *wal.Record) error {
		payload, err := rec.Payload(buf)
		if err == nil {
			buf = payload
			_, err = otlp.Append(p.table, payload, rec.Arrival)
		}
		if err != nil { // The checksum is right, so this was written wrong.
			r.s.count.damaged.Add(1)
			r.s.o.Logger.Error("replay a record of the log", "segment", group[len(p.segments)].Number, "offset", rec.Offset, "error", err)
		}
		p.newest = max(p.newest, rec.Arrival)
		r.progress(int64(rec.Spans))
		if unweighed += len(payload); unweighed >= weighEvery {
			unweighed = 0
			// Half, because a growing Table has slack that its final form has not.
			if !r.weigh(i, int64(p.table.Bytes())/2, p.table.Spans()) {
				return errLeaves
			}
		}
		return nil
	}
	for _, seg := range group {
		p.newest = max(p.newest, seg.Created)
		rep, err := r.s.log.Replay(seg.Number, add)
		if errors.Is(err, errLeaves) {
			return nil, buf
		}
		// Any other error is one of the log's problems, which Stats counts.
		r.s.count.damaged.Add(int64(len(rep.Damage)))
		r.read.Add(seg.Size)
		p.segments = append(p.segments, seg.Number)
	}
	p.table.Seal()
	p.spans, p.view, p.bytes, p.table = p.table.Spans(), p.table.View(), int64(p.table.Bytes()), nil
	return p, buf
}

// progress logs once a second how far the replay is.
func (r *replayer) progress(spans int64) {
	sum := r.spans.Add(spans)
	now, last := time.Now().UnixNano(), r.report.Load()
	if now-last < int64(time.Second) || !r.report.CompareAndSwap(last, now) {
		return
	}
	r.s.o.Logger.Info("reading the log back", "spans", sum, "percent", 100*r.read.Load()/max(1, r.total))
}

func (r *replayer) logEnd() {
	took, spans := time.Since(r.began), r.spans.Load()
	r.s.count.replayed.Store(spans)
	if spans > 0 || took > time.Second {
		r.s.o.Logger.Info("log read back", "spans", spans, "tables", len(r.s.head.parts), "took", took.Round(time.Millisecond))
	}
}
