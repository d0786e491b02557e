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

// joinBytes bounds the log bytes that go into one Table if segments are small. Many short runs of the program
// leave many small segments.
const joinBytes = 1 << 20

// Replay fills the head from the log at the start.
//
// Invariant: at every moment the Tables that workers have read or are reading fit into HeadMaxBytes and
// HeadMaxSpans, except for one Table per worker. The result is the same as from reading everything and then
// dropping the oldest.
//
// Tables do not depend on each other, so several workers read them in parallel, the newest first. So the group
// that pushes the sum over a bound is the oldest so far. It leaves at once, and no worker reads an older group.
// A worker in the middle of a group that must leave abandons it at its next check.
//
// Rejected: oldest first, dropping from the front as the live head does. It reads the whole log to keep only
// its end. Also rejected: reading all and enforcing bounds afterwards. The system kills a process that runs out
// of memory before that point, and again at every start.
//
// Covered are the segments whose spans are in blocks. Replay removes them unread.
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

// workerMemory is the share of the head's bound that one worker needs: a growing Table, its final form, and the
// file from which it reads.
const workerMemory = 32 << 20

func (r *replayer) workers() int {
	n := runtime.GOMAXPROCS(0)
	if most := r.s.o.HeadMaxBytes; most > 0 {
		n = min(n, int(max(1, most/workerMemory)))
	}
	return n
}

// groupSegments joins neighbours that make one small and young Table. A group is no larger than a Table that
// Append fills; otherwise a bound could drop more at once than it must.
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
	oldest int64 // oldest arrival within the retention, unix ns

	mu      sync.Mutex
	reading []reading // by group
	floor   int       // groups below this one must leave
	why     reason    // reason of the last group that had to leave
	gone    []uint64  // segments that must leave

	next   atomic.Int64 // the last group that a worker took; workers count down
	spans  atomic.Int64
	read   atomic.Int64 // bytes of log
	total  int64
	report atomic.Int64 // when progress was last logged, unix ns
}

// reading is the progress of one group.
type reading struct {
	part  *part // the finished part, if it stays
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

// judge reports whether a worker may skip a group. All payloads of a group arrived before the next group began.
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
	late := i < r.floor // another worker has raised the floor meanwhile
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

// weigh records the size of a group and drops the oldest groups that no longer fit. It reports whether this
// group stays.
func (r *replayer) weigh(i int, bytes int64, spans int) bool {
	r.mu.Lock()
	r.reading[i].bytes, r.reading[i].spans = bytes, int64(spans)
	before := r.floor
	r.raiseFloor()
	var gone []int
	for j := before; j < r.floor; j++ {
		if r.reading[j].part != nil { // complete; each worker drops its own unfinished group
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

// raiseFloor sets floor to the oldest group that still fits; the caller holds mu.
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

// replayBounds are the head's bounds during replay. A head with blocks may have been slightly above its bound,
// and replay must not lose any of its spans.
func (s *Store) replayBounds() Bounds {
	b := Bounds{Memory: s.o.HeadMaxBytes, Spans: s.o.HeadMaxSpans}
	if s.blocks != nil {
		b.Memory += b.Memory / 2
		b.Spans += b.Spans / 2
	}
	return b
}

// drop counts a group that leaves. Replay removes the files of all such groups at the end. Spans is the number
// of spans that the worker has read; if it is 0 because the worker did not finish, drop uses the log's own
// count.
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

// weighEvery is the number of payload bytes between two checks of the bounds.
const weighEvery = 1 << 20

var errLeaves = errors.New("the group leaves")

// part reads the segments of one Table. It returns nil if the group must leave. An unreadable segment stays on
// disk until its retention ends; the head has an empty part for it.
func (r *replayer) part(i int, buf []byte) (*part, []byte) {
	p, group, unweighed := &part{table: r.s.head.tableAfter(nil)}, r.groups[i], 0
	add := func(rec *wal.Record) error {
		payload, err := rec.Payload(buf)
		if err == nil {
			buf = payload
			_, err = otlp.Append(p.table, payload, rec.Arrival)
		}
		if err != nil { // The checksum is right, so the writer made an error.
			r.s.count.damaged.Add(1)
			r.s.o.Logger.Error("replay a record of the log", "segment", group[len(p.segments)].Number, "offset", rec.Offset, "error", err)
		}
		p.newest = max(p.newest, rec.Arrival)
		r.progress(int64(rec.Spans))
		if unweighed += len(payload); unweighed >= weighEvery {
			unweighed = 0
			// Half, because a growing Table has slack and its final form has none.
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

// progress logs the progress of the replay once a second.
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
