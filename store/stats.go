package store

import (
	"sync/atomic"

	"etude/trace"
)

type counters struct {
	payloads, spans, duplicates  atomic.Int64
	invalid, overloaded, refused atomic.Int64
	rejected, mended             atomic.Int64
	replayed, damaged            atomic.Int64
	leftSpans, leftTables        [byDisk + 1]atomic.Int64
}

// Stats counts a store's contents, and its work since it was opened.
type Stats struct {
	Tables    int
	Spans     int64 // held
	HeadBytes int64 // memory of the Tables
	DiskBytes int64 // log segments and blocks
	Waiting   int64 // bytes of payload without an answer yet
	Syncs     int64 // syncs of the log

	Payloads   int64        // acknowledged
	Appended   int64        // acknowledged spans that were new
	Duplicates int64        // acknowledged spans that the Table already had
	Rejected   int64        // invalid spans that Append left out
	Mended     int64        // payloads with text that was not UTF-8
	Lost       trace.Losses // to the Limits, since the start; losses of a replay were counted on arrival
	Invalid    int64        // refused payloads: not OTLP
	Overloaded int64        // refused payloads: too much is waiting
	Refused    int64        // refused payloads: the disk was full or failed

	Replayed int64 // spans that the start replayed
	Damaged  int64 // damaged stretches of the log that the start found
	Problems int64 // files of the log that are missing, cut short or exchanged
	Missing  int64 // spans that these problems lost, as far as the log knows

	// Blocks, their spans (which Spans includes), and the bytes of their files; cuts, their duration, failed
	// cuts, and blocks that were set aside.
	Blocks, BlockSpans, BlockBytes           int64
	Cuts, Merges, CutFailures, BlocksDamaged int64

	LeftByAge, LeftByMemory, LeftBySpans, LeftByDisk Left
}

// Left counts the spans that a limit dropped.
type Left struct{ Tables, Spans int64 }

// Stats returns the current numbers.
func (s *Store) Stats() Stats {
	c := &s.count
	st := Stats{
		DiskBytes: s.log.Disk(), Waiting: s.waiting.Load(), Syncs: int64(s.log.Syncs()),
		Payloads: c.payloads.Load(), Appended: c.spans.Load(), Duplicates: c.duplicates.Load(),
		Rejected: c.rejected.Load(), Mended: c.mended.Load(), Lost: s.lost.counts(),
		Invalid: c.invalid.Load(), Overloaded: c.overloaded.Load(), Refused: c.refused.Load(),
		Replayed: c.replayed.Load(), Damaged: c.damaged.Load(),
		LeftByAge: c.left(byAge), LeftByMemory: c.left(byMemory), LeftBySpans: c.left(bySpans), LeftByDisk: c.left(byDisk),
	}
	for _, p := range s.log.Problems() {
		st.Problems++
		st.Missing += p.Spans
	}
	s.addBlocks(&st)
	s.head.mu.Lock()
	defer s.head.mu.Unlock()
	st.Tables, st.HeadBytes = len(s.head.parts), s.head.bytes()
	for _, p := range s.head.parts {
		st.Spans += int64(p.spans)
	}
	return st
}

// Problems lists, one per line, the files of the log that differ from the written ones.
func (s *Store) Problems() (lines []string) {
	for _, p := range s.log.Problems() {
		lines = append(lines, p.Error())
	}
	if b := s.blocks; b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		lines = append(lines, b.problems...)
	}
	return lines
}

func (s *Store) addBlocks(st *Stats) {
	b := s.blocks
	if b == nil {
		return
	}
	n, bytes, spans := b.totals()
	st.Blocks, st.BlockBytes, st.BlockSpans = int64(n), bytes, spans
	st.DiskBytes += bytes
	st.Spans += spans
	st.Cuts, st.Merges, st.CutFailures, st.BlocksDamaged = b.count.cuts.Load(), b.count.merges.Load(), b.count.failures.Load(), b.count.damaged.Load()
	st.Problems += b.count.damaged.Load()
}

func (c *counters) left(why reason) Left {
	return Left{Tables: c.leftTables[why].Load(), Spans: c.leftSpans[why].Load()}
}
