package store

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// paused returns how long a pause takes.
func paused(t *turns) time.Duration {
	began := time.Now()
	t.pause()
	return time.Since(began)
}

func TestPauseEndsWithTheQuery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p Priority
		turns := turns{p: &p}
		if d := paused(&turns); d != 0 {
			t.Errorf("paused %s for nobody", d)
		}
		first, second := p.Query(), p.Query()
		time.AfterFunc(time.Millisecond, first)
		time.AfterFunc(3*time.Millisecond, second)
		if d := paused(&turns); d != 3*time.Millisecond {
			t.Errorf("paused %s for queries of 1 and 3 ms", d)
		}
		if d := paused(&turns); d != 0 {
			t.Errorf("paused %s when they had ended", d)
		}
	})
}

func TestLongQueryLosesPriority(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p Priority
		turns := turns{p: &p}
		done := p.Query()
		var all time.Duration
		for range 1000 {
			all += paused(&turns)
			time.Sleep(100 * time.Microsecond) // works
		}
		if all < queryYouth/2 || all > queryYouth {
			t.Errorf("paused %s for one long query, want nearly its youth of %s", all, queryYouth)
		}
		done()
	})
}

func TestQueriesInTurnLeaveTheApplierItsShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p Priority
		stop := make(chan struct{})
		var asking sync.WaitGroup
		for range 4 {
			asking.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					done := p.Query()
					time.Sleep(7 * time.Millisecond)
					done()
				}
			})
		}
		turns := turns{p: &p}
		began, worked := time.Now(), time.Duration(0)
		for time.Since(began) < time.Second {
			turns.pause()
			time.Sleep(100 * time.Microsecond)
			worked += 100 * time.Microsecond
		}
		close(stop)
		asking.Wait()
		if least := time.Second / 3; worked < least*9/10 || worked > time.Second/2 {
			t.Errorf("worked %s of a second, want about %s", worked, least)
		}
	})
}

func TestClosingEndsThePauseAndAllAfterIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p Priority
		closing := make(chan struct{})
		turns := turns{p: &p, closing: closing}
		done := p.Query()
		defer done()
		time.AfterFunc(2*time.Millisecond, func() { close(closing) })
		if d := paused(&turns); d != 2*time.Millisecond {
			t.Errorf("paused %s, want the 2 ms until closing began", d)
		}
		time.Sleep(2 * workLeast)
		if d := paused(&turns); d != 0 {
			t.Errorf("paused %s while closing", d)
		}
	})
}

// BenchmarkTurns is what an applier pays for each payload of 20 spans: without a
// Priority, and with one that no query uses, or one that it need not wait for now.
func BenchmarkTurns(b *testing.B) {
	var idle, asked Priority
	defer asked.Query()()
	asked.young.Add(1) // for ever young
	for _, c := range []struct {
		name string
		turns
	}{
		{"none", turns{}},
		{"idle", turns{p: &idle}},
		{"asked", turns{p: &asked, works: time.Now().Add(time.Hour)}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.pause()
			}
		})
	}
}
