package program

import (
	"slices"

	"etude/store"
)

// balance shares out what the tenants may hold together. As long as they keep
// within it, each may take all that is left. When they do not, those with the
// most give way, down to one level for all; who has less than that keeps it.
func (t *tenants) balance() {
	var stores []*store.Store
	var disk, memory, spans []int64
	t.each(func(_ string, s *tenantStore) {
		st := s.Stats()
		stores = append(stores, s.Store)
		disk, memory, spans = append(disk, st.DiskBytes), append(memory, st.HeadBytes), append(spans, st.Spans)
	})
	most := t.limits.bounds
	level := store.Bounds{Disk: levelOf(most.Disk, disk), Memory: levelOf(most.Memory, memory), Spans: levelOf(most.Spans, spans)}
	for _, s := range stores {
		s.SetBounds(level)
	}
}

// levelOf is the most that each may use so that all together use at most total;
// total itself when they do. 0 means no limit, in and out.
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

// pieces cuts what is sealed and dropped as a whole so small that a tenant's
// least share holds four of them.
func pieces(o store.Options, tenants int) store.Options {
	least := func(size, limit int64) int64 {
		if limit <= 0 {
			return size
		}
		return min(size, limit/int64(4*tenants))
	}
	o.TableBytes = max(64<<10, least(least(32<<20, o.MaxDisk), o.HeadMaxBytes))
	o.TableSpans = int(max(1, least(1<<16, o.HeadMaxSpans)))
	return o
}
