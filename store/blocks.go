package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"etude/internal/fs"
	"etude/store/block"
)

// Blocks keep spans that are older than the head, in files of Tempo's format: cut.go writes them, limits.go drops the
// oldest. The head holds the spans of the last minutes, backed by their log; a block replaces both.
//
// Invariant: a span is either in the head and in the log, or in a block. A cut makes the block durable first,
// then swaps head and blocks under swap, then removes the segments. A crash in between leaves a block and its
// segments. The block's meta.json names these segments, and the next start removes them before it replays the
// log.
//
// Order of locks: changing before swap, swap before head.mu and blocks.mu. A goroutine does no slow work while
// it holds swap.

// BlockOptions configure the blocks of a store. A zero value means the default that its comment names.
type BlockOptions struct {
	Dir       string            // folder with one folder per tenant, as in Tempo's buckets; default: BlocksFolder in Options.Dir
	Tenant    string            // name of the tenant's folder, also in meta.json; block.SingleTenant
	After     time.Duration     // how long spans stay in the head; 5 min
	Format    block.Format      // block.VParquet5
	Dedicated []block.Dedicated // attributes with columns of their own; chosen from the spans
	Cache     *block.Cache      // of decoded columns, which stores may share; 64 MiB
}

// BlocksFolder holds a folder of blocks for each tenant.
const BlocksFolder = "blocks"

const (
	defaultAfter = 5 * time.Minute
	defaultCache = 64 << 20
)

// blocks are the blocks of a store.
type blocks struct {
	o   BlockOptions
	fs  fs.FS
	dir string // of the tenant
	set block.Set

	chosen []block.Dedicated // dedicated columns of the last block; only the cutter uses it
	bare   []*block.Block    // blocks without a current sidecar at the start; only the surveyor uses it

	changing sync.Mutex // guards changes of both set and held

	swap sync.RWMutex // a snapshot locks it for reading; a swap between head and blocks locks it for writing

	mu       sync.Mutex
	held     []*heldBlock // in no order
	problems []string
	leaving  []string // folders that remove could not remove yet

	full   atomic.Bool // the head is at its bound: Append refuses payloads
	failed atomic.Pointer[error]
	count  blockCounters
}

type blockCounters struct {
	cuts, merges, failures, damaged atomic.Int64
}

// heldBlock has the facts about a block that limits use.
type heldBlock struct {
	id       block.ID
	format   block.Format
	level    uint32 // of compaction
	bytes    int64
	spans    int64
	first    int64 // arrivals, unix ns
	newest   int64
	log      string // see origin
	segments []uint64
	alone    bool // the compactor must not merge it
}

// origin names the log segments or the blocks from which a block was made.
type origin struct {
	Log      string     `json:"log,omitempty"`
	Segments []uint64   `json:"segments,omitempty"`
	Inputs   []block.ID `json:"inputs,omitempty"`
}

func logName(id uint64) string { return strconv.FormatUint(id, 16) }

func originOf(m *block.Meta) (o origin) {
	if json.Unmarshal(m.Origin, &o) != nil { // no origin, or another program's
		return origin{}
	}
	return o
}

// openBlocks opens the blocks of the directory. It sets damaged blocks aside, reports them, and continues. It
// returns the log segments whose spans are in blocks.
func (s *Store) openBlocks() (covered []uint64, err error) {
	if s.o.Blocks == nil {
		return nil, nil
	}
	b := &blocks{o: *s.o.Blocks, fs: s.o.FS}
	if b.fs == nil {
		b.fs = fs.OS
	}
	b.o.setDefaults(s.o.Dir)
	b.dir = filepath.Join(b.o.Dir, b.o.Tenant)
	s.blocks = b
	began := time.Now()
	if err := b.fs.Mkdir(b.dir); err != nil {
		return nil, fmt.Errorf("make folder of blocks: %w", err)
	}
	if err := errors.Join(b.fs.SyncDir(filepath.Dir(b.o.Dir)), b.fs.SyncDir(b.o.Dir), b.fs.SyncDir(b.dir)); err != nil {
		return nil, fmt.Errorf("make folder of blocks: %w", err)
	}
	folders, err := block.List(b.fs, b.dir)
	if err != nil {
		return nil, err
	}
	for _, dir := range folders.Damaged {
		b.report(dir+": was set aside by an earlier start", nil)
	}
	for _, dir := range folders.Unfinished {
		if err := block.Remove(b.fs, dir); err != nil {
			s.o.Logger.Error("remove unfinished block", "error", err)
		}
	}
	covered = s.openAll(folders.Blocks)
	if len(folders.Blocks) > 0 {
		s.o.Logger.Info("blocks opened", "blocks", len(folders.Blocks), "took", time.Since(began).Round(time.Millisecond))
	}
	return covered, nil
}

func (o *BlockOptions) setDefaults(data string) {
	if o.Dir == "" {
		o.Dir = filepath.Join(data, BlocksFolder)
	}
	if o.Tenant == "" {
		o.Tenant = block.SingleTenant
	}
	if o.After <= 0 {
		o.After = defaultAfter
	}
	if o.Format == "" {
		o.Format = block.VParquet5
	}
	if o.Cache == nil {
		o.Cache = block.NewCache(defaultCache)
	}
}

// openAll opens blocks. It removes blocks that a crash left without their first block, and blocks that are
// merged into another.
func (s *Store) openAll(ids []block.ID) (covered []uint64) {
	b := s.blocks
	var open []*block.Block
	for _, id := range ids {
		dir := block.Folder(b.dir, id)
		one, err := block.OpenBare(b.fs, dir, b.o.Cache)
		if err != nil {
			s.setAside(dir, err)
			continue
		}
		open = append(open, one)
	}
	here, log := s.segmentsHere(), logName(s.log.ID())
	gone := map[block.ID]bool{}
	for _, one := range open {
		o, first := originOf(one.Meta), one.Meta.First
		mine := o.Log == log && slices.ContainsFunc(o.Segments, func(n uint64) bool { return here[n] })
		unmerged := slices.ContainsFunc(o.Inputs, func(id block.ID) bool { return slices.Contains(ids, id) })
		switch {
		case first != nil && (mine || unmerged) && !slices.Contains(ids, *first):
			gone[one.Meta.ID] = true
			continue
		case mine:
			covered = append(covered, o.Segments...)
		}
		for _, id := range o.Inputs {
			gone[id] = true
		}
	}
	kept := open[:0]
	for _, one := range open {
		if gone[one.Meta.ID] {
			one.Close()
			b.remove(s, block.Folder(b.dir, one.Meta.ID))
			continue
		}
		b.hold(one)
		kept = append(kept, one)
		if one.Outdated() {
			b.bare = append(b.bare, one)
		}
	}
	if len(b.bare) > 0 {
		s.o.Logger.Warn("blocks without a sidecar of this version: searches read more of them until it is written", "blocks", len(b.bare))
	}
	b.set.Swap(nil, kept, nil)
	return covered
}

func (s *Store) segmentsHere() map[uint64]bool {
	here := map[uint64]bool{}
	for _, seg := range s.log.Segments() {
		here[seg.Number] = true
	}
	return here
}

// setAside hides an unreadable block and reports it.
func (s *Store) setAside(dir string, why error) {
	b := s.blocks
	b.count.damaged.Add(1)
	b.report(dir, why)
	s.o.Logger.Error("a block cannot be read and is set aside", "block", dir, "error", why)
	if err := block.SetAside(b.fs, dir); err != nil {
		s.o.Logger.Error("set a damaged block aside", "error", err)
	}
}

func (b *blocks) report(what string, why error) {
	if why != nil {
		what = fmt.Sprintf("block %s cannot be read and was set aside: %v", what, why)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, what)
}

// hold records the facts about a block that limits use.
func (b *blocks) hold(one *block.Block) {
	o := originOf(one.Meta)
	h := &heldBlock{id: one.Meta.ID, bytes: one.Meta.Size, format: one.Meta.Format, level: one.Meta.CompactionLevel, log: o.Log, segments: o.Segments,
		alone: one.Meta.First != nil || one.Meta.Format == block.VParquet3}
	if n, err := block.DiskBytes(b.fs, block.Folder(b.dir, h.id)); err == nil {
		h.bytes = n
	}
	for _, p := range one.Parts() {
		h.spans += int64(p.Spans)
		h.newest = max(h.newest, p.LastArrival)
		if h.first == 0 || p.FirstArrival < h.first {
			h.first = p.FirstArrival
		}
	}
	if h.newest == 0 { // Another program wrote it.
		h.newest = one.Meta.End.UnixNano()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = append(b.held, h)
}

// bytes and spans are the sums over all blocks.
func (b *blocks) totals() (n int, bytes, spans int64) {
	if b == nil {
		return 0, 0, 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.held {
		bytes, spans = bytes+h.bytes, spans+h.spans
	}
	return len(b.held), bytes, spans
}

// remove removes a folder. If that fails, retry tries again later.
func (b *blocks) remove(s *Store, dir string) {
	if err := block.Remove(b.fs, dir); err != nil {
		s.o.Logger.Error("remove old block; trying again", "error", err)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.leaving = append(b.leaving, dir)
	}
}

// retry tries again to remove the folders that remove could not remove.
func (b *blocks) retry() {
	b.mu.Lock()
	dirs := b.leaving
	b.leaving = nil
	b.mu.Unlock()
	for _, dir := range dirs {
		if block.Remove(b.fs, dir) != nil {
			b.mu.Lock()
			b.leaving = append(b.leaving, dir)
			b.mu.Unlock()
		}
	}
}

// expire drops the oldest blocks: the blocks beyond the retention, and then more until the size on disk is
// below the bound.
func (s *Store) expire(disk int64) {
	b := s.blocks
	b.retry()
	most := s.bounds.Load().Disk
	b.changing.Lock()
	defer b.changing.Unlock()
	b.mu.Lock()
	slices.SortFunc(b.held, byArrival)
	var gone []*heldBlock
	for _, h := range b.held {
		disk += h.bytes
	}
	var why reason
	for len(b.held) > 0 {
		h := b.held[0]
		if s.o.Retention > 0 && h.newest < s.clock.old().Add(-s.o.Retention).UnixNano() {
			why = byAge
		} else if most > 0 && disk > most {
			why = byDisk
		} else {
			break
		}
		gone, b.held = append(gone, h), b.held[1:]
		disk -= h.bytes
		s.count.leftSpans[why].Add(h.spans)
		s.count.leftTables[why].Add(1)
		s.o.Logger.Debug("old block leaves", "reason", why.String(), "block", h.id, "spans", h.spans)
	}
	b.mu.Unlock()
	if len(gone) == 0 {
		return
	}
	ids := make([]block.ID, len(gone))
	for i, h := range gone {
		ids[i] = h.id
	}
	b.set.Swap(ids, nil, func(id block.ID) { b.remove(s, block.Folder(b.dir, id)) })
}
