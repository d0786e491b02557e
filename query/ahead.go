package query

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// readAhead calls prepare with 0, 1, ... n-1 on one goroutine per processor. It calls use with the results, in
// the same order, on the caller's goroutine. So use may keep state, and the answer does not depend on timing.
// readAhead ends at the first error in that order, after every prepare has returned.
func readAhead[T any](n int, prepare func(i int) (T, error), use func(T) error) error {
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers < 2 {
		for i := range n {
			x, err := prepare(i)
			if err == nil {
				err = use(x)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	q := newQueue(n, workers, prepare)
	defer q.stop()
	for i := range n {
		x, err := q.result(i)
		if err == nil {
			err = use(x)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// queue holds results until it is their turn.
type queue[T any] struct {
	prepare func(i int) (T, error)
	next    atomic.Int64
	room    chan struct{} // a token for each result that a goroutine may prepare ahead
	done    []chan prepared[T]
	stopped chan struct{}
	workers sync.WaitGroup
}

type prepared[T any] struct {
	x        T
	err      error
	panicked any
}

func newQueue[T any](n, workers int, prepare func(i int) (T, error)) *queue[T] {
	q := &queue[T]{prepare: prepare, room: make(chan struct{}, 2*workers), done: make([]chan prepared[T], n), stopped: make(chan struct{})}
	for i := range q.done {
		q.done[i] = make(chan prepared[T], 1)
	}
	for range workers {
		q.workers.Go(q.work)
	}
	return q
}

func (q *queue[T]) work() {
	for {
		select {
		case q.room <- struct{}{}:
		case <-q.stopped:
			return
		}
		i := int(q.next.Add(1)) - 1
		if i >= len(q.done) {
			return
		}
		q.done[i] <- q.run(i)
	}
}

// run catches a panic. result raises it again on the goroutine of the query.
func (q *queue[T]) run(i int) (p prepared[T]) {
	defer func() { p.panicked = recover() }()
	p.x, p.err = q.prepare(i)
	return p
}

func (q *queue[T]) result(i int) (T, error) {
	p := <-q.done[i]
	<-q.room
	if p.panicked != nil {
		panic(p.panicked)
	}
	return p.x, p.err
}

// stop waits for running preparations.
func (q *queue[T]) stop() {
	close(q.stopped)
	q.workers.Wait()
}
