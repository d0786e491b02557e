package query

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// overs is whether a query had to end.
type overs bool

func (o *overs) tooOpen() { *o = true }

// A query without an open part waits for those that have some; a query with one never waits.
func TestRoomWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &room{limit: 100, reserve: 40}
		over := new(overs)
		a, b := jobRoom{room: r, job: over}, jobRoom{room: r, job: over}
		if err := a.Enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.Grow(100)
		if err := a.Enter(t.Context()); err != nil || *over {
			t.Errorf("a query with a part open: %v, over %t", err, *over)
		}
		entered := false
		go func() {
			if err := b.Enter(t.Context()); err != nil {
				t.Error(err)
			}
			entered = true
		}()
		synctest.Wait()
		if entered {
			t.Error("a query without a part does not wait")
		}
		a.Grow(-30)
		synctest.Wait()
		if entered {
			t.Error("a query enters without room for its part")
		}
		a.Grow(-10)
		synctest.Wait()
		if !entered {
			t.Error("there is room, and a query waits")
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("no more time")
		cancel(why)
		c := jobRoom{room: r}
		if err := c.Enter(ctx); err != why {
			t.Errorf("%v, want %v", err, why)
		}
		if a.Grow(41); !*over {
			t.Error("a query alone exceeds the room and goes on")
		}
		a.close()
		b.close()
		if r.used != 0 {
			t.Errorf("%d bytes stay", r.used)
		}
	})
}

// Many queries that open parts, and release them when the room is full, all come to an end within the bound and one part
// each.
func TestRoomOfMany(t *testing.T) {
	t.Parallel()
	const limit, part, queries = 1000, 90, 8
	r := &room{limit: limit, reserve: 2 * part}
	var most atomic.Int64
	var all sync.WaitGroup
	for seed := range uint64(queries) {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, 1))
			for range 200 {
				over := new(overs)
				j := jobRoom{room: r, job: over}
				for open := 0; open < limit-part && random.IntN(10) > 0; open += part {
					if err := j.Enter(t.Context()); err != nil {
						t.Error(err)
						return
					}
					j.Grow(part)
					r.mu.Lock()
					most.Store(max(most.Load(), r.used))
					r.mu.Unlock()
					for ; j.Full() && open > 0; open -= part {
						j.Grow(-part)
					}
				}
				if j.close(); *over {
					t.Error("a query is over")
				}
			}
		})
	}
	all.Wait()
	if r.used != 0 || most.Load() > limit+2*part*queries {
		t.Errorf("%d bytes at most, %d bytes stay", most.Load(), r.used)
	}
}
