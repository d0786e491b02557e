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
	news func() []byte // encodes the new results, or returns nil for none; news itself is nil when the query reports no progress

	stop func()
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
func (t *teller) tell(news func() []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.news = news
}

func (t *teller) send() error {
	t.mu.Lock()
	news := t.news
	t.mu.Unlock()
	body := t.idle
	if news != nil {
		if b := news(); b != nil {
			body = b
		}
	}
	return t.to.tell(body)
}

// searchNews has the traces of a search that have not been sent yet. Clients keep the first copy of a trace, so
// only traces that will not change are sent.
type searchNews struct {
	mu        sync.Mutex
	sure      []query.Trace
	inspected int
	sent      int
}

func (n *searchNews) note(p query.SearchProgress) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sure, n.inspected = p.Sure, p.InspectedTraces
}

// message encodes the results since the last call, nil for none.
func (n *searchNews) message() []byte {
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
	w.searchEnd(inspected, 0)
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
	out.message(2, func(w *writer) { w.Varint(5, 1) })
	n.mu.Lock()
	defer n.mu.Unlock()
	n.body = out.B
	return true
}

func (n *windowNews) waits() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.body != nil
}

// message returns the bytes encoded since the last call, nil for none.
func (n *windowNews) message() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	body := n.body
	n.body = nil
	return body
}
