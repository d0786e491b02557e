package store

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"etude/otlp"
	"etude/store/wal"
	"etude/trace"
)

// joinBytes is how much log goes into one Table together when segments are small,
// as many short runs of the program leave them.
const joinBytes = 1 << 20

// replay fills the head from the log. Tables do not depend on each other, so
// every core reads some. The newest come first: when memory has its fill, what
// has not been read is the oldest, and leaves.
func (s *Store) replay() {
	groups := groupSegments(s.log.Segments(), s.o.TableAge)
	r := replayer{s: s, groups: groups, parts: make([]*part, len(groups)), began: time.Now()}
	r.next.Store(int64(len(groups)))
	for _, g := range groups {
		for _, seg := range g {
			r.total += seg.Size
		}
	}
	r.report.Store(r.began.UnixNano())
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(groups)) {
		workers.Go(r.work)
	}
	workers.Wait()
	for _, p := range r.parts {
		if p != nil {
			s.head.parts = append(s.head.parts, p)
		}
	}
	r.logEnd()
}

// groupSegments puts neighbours together that make one small and young Table.
func groupSegments(segments []wal.Segment, age time.Duration) (groups [][]wal.Segment) {
	var size int64
	for i, seg := range segments {
		last := len(groups) - 1
		if i > 0 && size+seg.Size <= joinBytes && seg.Created-groups[last][0].Created < int64(age) {
			groups[last] = append(groups[last], seg)
			size += seg.Size
			continue
		}
		groups = append(groups, segments[i:i+1:i+1])
		size = seg.Size
	}
	return groups
}

type replayer struct {
	s      *Store
	groups [][]wal.Segment
	parts  []*part // nil where a group is gone
	began  time.Time

	next   atomic.Int64 // the group read last; workers count down
	memory atomic.Int64
	kept   atomic.Int64 // spans
	spans  atomic.Int64
	read   atomic.Int64 // bytes of log
	total  int64
	report atomic.Int64 // when progress was last logged, unix ns
}

func (r *replayer) work() {
	var buf []byte
	for {
		i := int(r.next.Add(-1))
		if i < 0 {
			return
		}
		if why := r.judge(i); why != stays {
			r.drop(i, why)
			continue
		}
		r.parts[i], buf = r.part(r.groups[i], buf)
		r.memory.Add(r.parts[i].bytes)
		r.kept.Add(int64(r.parts[i].spans))
	}
}

// judge says whether a group need not be read. All of a group arrived before the
// one after it was begun.
func (r *replayer) judge(i int) reason {
	o := &r.s.o
	switch {
	case o.Retention > 0 && i+1 < len(r.groups) && r.groups[i+1][0].Created < r.began.Add(-o.Retention).UnixNano():
		return byAge
	case o.HeadMaxBytes > 0 && r.memory.Load() > o.HeadMaxBytes:
		return byMemory
	case o.HeadMaxSpans > 0 && r.kept.Load() > o.HeadMaxSpans:
		return bySpans
	}
	return stays
}

func (r *replayer) drop(i int, why reason) {
	r.s.count.leftTables[why].Add(1)
	r.s.o.Logger.Info("old spans leave unread", "reason", why.String(), "segment", r.groups[i][0].Number)
	for _, seg := range r.groups[i] {
		r.read.Add(seg.Size)
		if err := r.s.log.Remove(seg.Number); err != nil {
			r.s.o.Logger.Error("remove old spans from disk", "error", err)
		}
	}
}

// part reads the segments of one Table. A segment that cannot be read stays on
// disk, with an empty place in the head, until its time has come.
func (r *replayer) part(group []wal.Segment, buf []byte) (*part, []byte) {
	p := &part{table: trace.NewTable()}
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
		return nil
	}
	for _, seg := range group {
		p.newest = max(p.newest, seg.Created)
		rep, err := r.s.log.Replay(seg.Number, add)
		if err != nil {
			r.s.o.Logger.Error("replay log segment; its spans are missing", "error", err)
		}
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
