package query

import (
	"context"
	"math"
	"sync"
)

// The columns that a query reads from a part on disk stay in memory until it releases the part, even when the cache
// has dropped them. All queries together keep them within one bound:
//
//   - A query that has no part open waits for room before it opens one, and reserves some until it knows what the part
//     takes. A query that has some never waits, so queries cannot wait for one another. But while there is no room, it
//     keeps only one part open.
//   - A query alone may use the whole bound. A query that needs more, for one large trace, ends with an error.
//
// So queries exceed the bound by about one part each.

// room is the bound for the open parts of all queries.
type room struct {
	limit   int64
	reserve int64 // for a query's first part

	mu    sync.Mutex
	used  int64
	freed chan struct{} // closed when bytes are freed; nil unless a query waits
}

// newRoom returns the room of an Engine whose queries each may keep so many bytes; a negative number means no limit.
func newRoom(maxMemory int64) room {
	if maxMemory < 0 {
		return room{limit: math.MaxInt64, reserve: mostOpen}
	}
	return room{limit: max(2*leastOpen, 4*maxMemory), reserve: max(leastOpen, min(2*maxMemory, mostOpen))}
}

// A query's own bound for open parts, in bytes, from which on it releases the first ones. Below a few parts, a search
// would open the same ones over and over.
const leastOpen, mostOpen = 32 << 20, 64 << 20

// enter waits until there is room, and reserves some.
func (r *room) enter(ctx context.Context) error {
	for {
		r.mu.Lock()
		if r.used == 0 || r.used+r.reserve <= r.limit {
			r.used += r.reserve
			r.mu.Unlock()
			return nil
		}
		if r.freed == nil {
			r.freed = make(chan struct{})
		}
		freed := r.freed
		r.mu.Unlock()
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (r *room) full() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.used >= r.limit
}

// grow counts n bytes more; a negative n frees bytes.
func (r *room) grow(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used += n
	if n < 0 && r.freed != nil {
		close(r.freed)
		r.freed = nil
	}
}

// jobRoom is the part of a room that a Job has. It implements eval.Room.
type jobRoom struct {
	room *room
	job  interface{ tooOpen() } // ends

	mu       sync.Mutex
	used     int64 // with what is reserved
	reserved int64
}

// Enter waits until there is room, unless the Job has some already.
func (j *jobRoom) Enter(ctx context.Context) error {
	j.mu.Lock()
	used := j.used
	j.mu.Unlock()
	if used > 0 { // Fast path
		return nil
	}
	if err := j.room.enter(ctx); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.used, j.reserved = j.used+j.room.reserve, j.reserved+j.room.reserve
	return nil
}

// Grow counts n bytes more. If the Job alone exceeds the bound, it ends the Job.
func (j *jobRoom) Grow(n int) {
	j.mu.Lock()
	more := int64(n) - j.reserved
	j.used, j.reserved = j.used+more, 0
	over := n > 0 && j.used > j.room.limit
	j.mu.Unlock()
	j.room.grow(more)
	if over {
		j.job.tooOpen()
	}
}

// bytes returns what the Job has open.
func (j *jobRoom) bytes() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.used - j.reserved
}

// Full reports whether the room is used up.
func (j *jobRoom) Full() bool { return j.room.full() }

// close frees all.
func (j *jobRoom) close() {
	if j.used != 0 {
		j.Grow(int(j.reserved - j.used))
	}
}
