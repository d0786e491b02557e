package store

import (
	"time"
)

// reason is why a part leaves.
type reason int

const (
	stays reason = iota
	byAge
	byMemory
	bySpans
	byDisk
)

func (r reason) String() string {
	return [...]string{"", "age", "memory", "spans", "disk"}[r]
}

// leaving names the files of a part that has left the head.
type leaving struct {
	segments []uint64
	logged   bool
}

// Bounds are MaxDisk, HeadMaxBytes and HeadMaxSpans of [Options] in an open store.
// Zero means no limit.
type Bounds struct{ Disk, Memory, Spans int64 }

// SetBounds changes the bounds. The keeper soon drops parts that exceed them.
func (s *Store) SetBounds(b Bounds) {
	if old := s.bounds.Swap(&b); old != nil && *old != b {
		s.wakeKeeper()
	}
}

// keep is the keeper: it drops old parts to keep the limits.
func (s *Store) keep() {
	defer close(s.kept)
	ticker := time.NewTicker(keepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.nudge:
		case <-ticker.C:
		}
		s.enforce()
	}
}

func (s *Store) wakeKeeper() {
	select {
	case s.nudge <- struct{}{}:
	default:
	}
}

// over reports whether a limit on memory, spans or disk is exceeded.
func (s *Store) over() bool {
	most := s.bounds.Load()
	_, inBlocks, _ := s.blocks.totals()
	if most.Disk > 0 && s.log.Disk()+inBlocks > most.Disk {
		return true
	}
	if most.Memory <= 0 && most.Spans <= 0 { // Fast path.
		return false
	}
	s.head.mu.Lock()
	defer s.head.mu.Unlock()
	return most.Memory > 0 && s.head.bytes() > most.Memory ||
		most.Spans > 0 && s.head.spans() > most.Spans
}

// enforce drops the oldest parts until the store is within every limit. It first hides a part from readers,
// then removes the part's files. After a crash in between, the next start reads the part back and drops it
// again.
func (s *Store) enforce() {
	s.garbageMu.Lock()
	defer s.garbageMu.Unlock()
	if s.blocks != nil {
		s.expire(s.log.Disk())
		s.updateFull()
	}
	gone, rotate := s.leave()
	s.garbage = append(s.garbage, gone...)
	s.removeGarbage()
	if rotate && s.rotating.CompareAndSwap(false, true) {
		// The growing part must leave, too. The applier seals it in log order, as any other part, and wakes the
		// keeper again. An error means that the log is closed; then the keeper must drop nothing.
		_ = s.log.Rotate()
	}
}

// removeGarbage removes segments; the caller holds garbageMu.
func (s *Store) removeGarbage() {
	kept := s.garbage[:0]
	for _, g := range s.garbage {
		if err := s.log.Remove(g.segments...); err != nil {
			if !g.logged {
				s.o.Logger.Error("remove old spans from disk; trying again", "error", err)
			}
			g.logged = true
			kept = append(kept, g)
		}
	}
	s.garbage = kept
}

// leave removes the parts that must leave from the head. Rotate is true if the growing part is one of them.
func (s *Store) leave() (gone []leaving, rotate bool) {
	_, disk, _ := s.blocks.totals()
	disk += s.log.Disk()
	for _, g := range s.garbage {
		disk -= s.log.Size(g.segments...)
	}
	h := &s.head
	h.mu.Lock()
	defer h.mu.Unlock()
	memory, spans, n := h.bytes(), h.spans(), 0
	defer func() {
		if n > 0 {
			h.remove(n)
		}
	}()
	for _, p := range h.parts {
		why := s.judge(p, memory, spans, disk)
		if why == stays {
			break
		}
		if p.open {
			return gone, true
		}
		n++
		memory -= p.bytes
		spans -= int64(p.spans)
		disk -= s.log.Size(p.segments...)
		gone = append(gone, leaving{segments: p.segments})
		s.countLeft(why, p)
	}
	return gone, false
}

func (s *Store) judge(p *part, memory, spans, disk int64) reason {
	most := *s.bounds.Load()
	if s.blocks != nil {
		most.Memory, most.Spans = 0, 0 // The cutter turns the oldest into a block instead.
	}
	switch {
	case s.o.Retention > 0 && p.newest < s.clock.old().Add(-s.o.Retention).UnixNano():
		return byAge
	case most.Memory > 0 && memory > most.Memory:
		return byMemory
	case most.Spans > 0 && spans > most.Spans:
		return bySpans
	case most.Disk > 0 && disk > most.Disk:
		return byDisk
	}
	return stays
}

func (s *Store) countLeft(why reason, p *part) {
	s.count.leftSpans[why].Add(int64(p.spans))
	s.count.leftTables[why].Add(1)
	s.o.Logger.Debug("old spans leave", "reason", why.String(), "spans", p.spans, "bytes", p.bytes)
}
