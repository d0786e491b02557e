package tenants

import (
	"slices"

	"etude/store"
	"etude/tenant"
)

// balance divides the bounds among the tenants. While the sum of their use is within a bound, each tenant may
// use all the remaining room. Otherwise the largest tenants shrink to a common level. A tenant below that level
// loses nothing.
func (s *Set) balance() {
	var disk, memory, spans []int64
	tenants := s.Tenants()
	for _, t := range tenants {
		st := t.Stats()
		disk, memory, spans = append(disk, st.DiskBytes), append(memory, st.HeadBytes), append(spans, st.Spans-st.BlockSpans)
	}
	most := &s.o.Store
	level := store.Bounds{Disk: levelOf(most.MaxDisk, disk), Memory: levelOf(most.HeadMaxBytes, memory), Spans: levelOf(most.HeadMaxSpans, spans)}
	for _, t := range tenants {
		t.SetBounds(level)
	}
}

// levelOf returns the most that each may use so that all together use at most total. If they already do, it
// returns total. 0 means no limit, as argument and as result.
func levelOf(total int64, used []int64) int64 {
	if total <= 0 {
		return 0
	}
	used = slices.Sorted(slices.Values(used))
	left := total
	for i, u := range used {
		share := left / int64(len(used)-i)
		if u > share {
			return max(1, share)
		}
		left -= u
	}
	return total
}

// storeOptions returns the options of one of n stores. While the store replays its log, it may use each bound
// less the use of the open stores. Each open store counts with at most the n-th part.
func (s *Set) storeOptions(id, dir string, n int) store.Options {
	o := s.o.Store
	o.Dir = dir
	if o.Blocks != nil {
		blocks := *o.Blocks // its cache is shared
		blocks.Dir, blocks.Tenant = s.bucket(), tenant.Folder(id)
		o.Blocks = &blocks
	}
	if s.o.Multi {
		pieces(&o, max(n, s.o.Most))
	}
	for _, t := range s.Tenants() {
		if o.HeadMaxBytes > 0 {
			o.HeadMaxBytes = max(1, o.HeadMaxBytes-min(t.Stats().HeadBytes, s.o.Store.HeadMaxBytes/int64(n)))
		}
		if o.HeadMaxSpans > 0 {
			o.HeadMaxSpans = max(1, o.HeadMaxSpans-min(headSpans(t), s.o.Store.HeadMaxSpans/int64(n)))
		}
	}
	return o
}

// pieces limits the units that a store seals and drops, so that a tenant's least share holds four of them.
func pieces(o *store.Options, tenants int) {
	least := func(size, limit int64) int64 {
		if limit <= 0 {
			return size
		}
		return min(size, limit/int64(4*tenants))
	}
	o.TableBytes = max(64<<10, least(least(32<<20, o.MaxDisk), o.HeadMaxBytes))
	o.TableSpans = int(max(1, least(1<<16, o.HeadMaxSpans)))
}

// headSpans returns the number of spans of a tenant in memory.
func headSpans(t *Tenant) int64 {
	st := t.Stats()
	return st.Spans - st.BlockSpans
}
