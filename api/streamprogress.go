package api

import (
	"sync"
	"time"

	"etude/query"
	"etude/traceql/metrics"
)

// progressInterval is the minimum time between messages while a query runs.
const progressInterval = 500 * time.Millisecond

// teller sends messages while a query runs: new results or, without any, a sign of progress. It sends from its
// own goroutine, so that a slow client does not delay the query.
type teller struct {
	to   *streamOut
	idle []byte // the message without new results

	mu   sync.Mutex
	news func(jobs) []byte // encodes the new results, or returns nil for none; news itself is nil when the query reports no progress
	jobs jobs

	stop func()
}

// jobs is how many parts of the store, blocks and tables, a query has read or ruled out, and how many there are.
// The answer itself has one job of one: it does not depend on where its spans lie.
type jobs struct{ done, total int }

func (j jobs) append(w *writer) {
	w.Varint(4, uint64(j.done))
	w.Varint(5, uint64(max(j.total, 1)))
}

// newTeller starts the messages. The caller may send only after stop: a stream accepts one message at a time.
func newTeller(to *streamOut, every time.Duration, idle []byte) *teller {
	t := &teller{to: to, idle: idle}
	t.stop = repeat(every, t.send)
	return t
}

// repeat calls f at an interval, from its own goroutine, until f fails or stop is called. stop waits for the
// last call.
func repeat(every time.Duration, f func() error) (stop func()) {
	done, ending := make(chan struct{}), sync.WaitGroup{}
	ending.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if f() != nil {
					return // the answer will return the same error
				}
			case <-done:
				return
			}
		}
	})
	return func() { close(done); ending.Wait() }
}

// tell sets the source of news.
func (t *teller) tell(news func(jobs) []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.news = news
}

// parts notes how far the query is.
func (t *teller) parts(done, total int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.jobs = jobs{done, total}
}

func (t *teller) send() error {
	t.mu.Lock()
	news, jobs := t.news, t.jobs
	t.mu.Unlock()
	body := t.idle
	if jobs.total > 0 {
		var w writer
		w.message(2, jobs.append)
		body = w.B
	}
	if news != nil {
		if b := news(jobs); b != nil {
			body = b
		}
	}
	return t.to.tell(body)
}

// searchNews has the traces of a search that have not been sent yet. Clients keep the first copy of a trace, so
// only traces that will not change are sent.
type searchNews struct {
	teller    *teller
	mu        sync.Mutex
	sure      []query.Trace
	inspected int
	sent      int
}

func (n *searchNews) note(p query.SearchProgress) {
	n.teller.parts(p.PartsDone, p.Parts)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sure, n.inspected = p.Sure, p.InspectedTraces
}

// message encodes the results since the last call, nil for none.
func (n *searchNews) message(j jobs) []byte {
	n.mu.Lock()
	fresh, inspected := n.sure[n.sent:], n.inspected
	n.sent = len(n.sure)
	n.mu.Unlock()
	if len(fresh) == 0 {
		return nil
	}
	var w writer
	for i := range fresh {
		w.message(1, func(w *writer) { w.trace(&fresh[i]) })
	}
	w.searchEnd(inspected, j)
	return w.B
}

// windowNews has the samples of a metrics query for the time that is complete and has not been sent yet.
type windowNews struct {
	every     time.Duration
	maxSeries int
	last      time.Time // time of the last encoding

	mu   sync.Mutex
	body []byte
}

// note encodes a window when the next message is due.
func (n *windowNews) note(w metrics.Window, from, to int, series func() []metrics.Series) bool {
	if time.Since(n.last) < n.every || n.waits() {
		return false
	}
	r := &query.MetricsResult{Window: w, Series: series()}
	n.last = time.Now()
	if n.maxSeries > 0 && len(r.Series) >= n.maxSeries {
		return false // the final answer chooses the series
	}
	var out writer
	for i := range r.Series {
		out.message(1, func(w *writer) { w.rangeSeries(r, i) })
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.body = append([]byte{}, out.B...) // never nil, though it may be without series
	return true
}

func (n *windowNews) waits() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.body != nil
}

// message returns the bytes encoded since the last call, nil for none.
func (n *windowNews) message(j jobs) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.body == nil {
		return nil
	}
	w := writer{}
	w.B, n.body = n.body, nil
	w.message(2, j.append)
	return w.B
}
