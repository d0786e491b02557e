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
		if least := time.Second * workLeast / (pauseMost + workLeast); worked < least*9/10 || worked > time.Second/2 {
			t.Errorf("worked %s of a second, want about %s", worked, least)
		}
	})
}
