package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"etude/internal/histogram"
)

// driver sends payloads with a number of workers and counts the results.
type driver struct {
	senders     []sender
	concurrency int
	batch       int
	services    int
	pool        *payloadPool
	source      *source
	counter     counter
	whole       *payloads
	accepted    atomic.Int64 // for progress
}

func newDriver(t target, o *IngestOptions) (*driver, error) {
	d := &driver{concurrency: o.Concurrency, batch: o.Batch, services: o.Services,
		pool: new(payloadPool), source: newSource(uint64(o.Cardinality))}
	d.whole = newPayloads(d.source, &d.counter, o.Batch, o.Services)
	connections := o.connections(t)
	if !t.grpc {
		s, err := newHTTPSender(o, t, connections, d.pool)
		if err != nil {
			return nil, err
		}
		d.senders = []sender{s}
		return d, nil
	}
	for range connections {
		d.senders = append(d.senders, newGRPCSender(o, t, d.pool))
	}
	return d, nil
}

func (d *driver) close() {
	for _, s := range d.senders {
		s.close()
	}
}

// plan is the amount to send: a number of spans or, when that is 0, until `until` is closed. rate is spans a
// second; 0 means no limit.
type plan struct {
	spans int64
	until <-chan struct{}
	rate  float64
}

// tally is the result of a plan. Each worker has its own; they are merged at the end.
type tally struct {
	requests, accepted, rejected, refused, failed int64 // number of spans, except requests
	reasons                                       map[string]*Reason
	latency, service                              histogram.Durations
	elapsed                                       time.Duration
}

// Reason is one kind of failure.
type Reason struct {
	Reason   string `json:"reason"`
	Requests int64  `json:"requests"`
	Spans    int64  `json:"spans"`
	Example  string `json:"example,omitempty"`
}

// hopeless is the number of consecutive requests without an answer that ends a run.
const hopeless = 200

// errNoAnswers ends a run whose server no longer answers.
var errNoAnswers = errors.New("the server does not answer any more")

// run carries out a plan. When ctx is done, it abandons open requests.
func (d *driver) run(ctx context.Context, p plan) (*tally, error) {
	tail := d.whole
	if n := int(p.spans % int64(d.batch)); n > 0 {
		tail = newPayloads(d.source, &d.counter, n, d.services)
	}
	r := &run{driver: d, plan: p, tail: tail, begin: time.Now()}
	tallies := make([]tally, d.concurrency)
	var wait sync.WaitGroup
	for i := range tallies {
		wait.Go(func() { r.work(ctx, d.senders[i%len(d.senders)], &tallies[i]) })
	}
	wait.Wait()
	total := &tally{elapsed: time.Since(r.begin)}
	for i := range tallies {
		total.merge(&tallies[i])
	}
	if r.silent.Load() >= hopeless {
		return total, errNoAnswers
	}
	return total, ctx.Err()
}

type run struct {
	*driver
	plan
	tail   *payloads
	begin  time.Time
	next   atomic.Int64 // number of the next request
	silent atomic.Int64 // consecutive requests without an answer
}

// nextRequest returns the next payload and the time when it is due, or nil when there is none left.
func (r *run) nextRequest() (from *payloads, spans int64, due time.Time) {
	i := r.next.Add(1) - 1
	batch := int64(r.batch)
	from, spans = r.whole, batch
	if r.spans > 0 {
		if left := r.spans - i*batch; left <= 0 {
			return nil, 0, due
		} else if left < batch {
			from, spans = r.tail, left
		}
	}
	if r.rate > 0 {
		due = r.begin.Add(time.Duration(float64(i*batch) / r.rate * float64(time.Second)))
	}
	return from, spans, due
}

func (r *run) work(ctx context.Context, s sender, t *tally) {
	for r.silent.Load() < hopeless {
		from, spans, due := r.nextRequest()
		if from == nil || !r.wait(ctx, due) {
			return
		}
		buffer := r.pool.Get(0)
		sent := time.Now()
		*buffer, _, _ = from.fill(*buffer, sent)
		out := s.send(ctx, buffer)
		done := time.Now()
		if ctx.Err() != nil {
			return // abandoned, not failed
		}
		if due.IsZero() {
			due = sent
		}
		t.add(out, spans, done.Sub(due), done.Sub(sent))
		r.book(out, spans)
	}
}

// wait waits until a request is due. It returns false when the plan is over.
func (r *run) wait(ctx context.Context, due time.Time) bool {
	if delay := time.Until(due); !due.IsZero() && delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.until:
		case <-ctx.Done():
		}
	}
	select {
	case <-r.until:
		return false
	case <-ctx.Done():
		return false
	default:
		return true
	}
}

func (r *run) book(out outcome, spans int64) {
	if out.failed {
		r.silent.Add(1)
		return
	}
	if r.silent.Load() > 0 {
		r.silent.Store(0)
	}
	if !out.refused {
		r.accepted.Add(max(spans-out.rejected, 0))
	}
}

// add counts one request. Latency is that of acknowledged requests.
func (t *tally) add(out outcome, spans int64, latency, service time.Duration) {
	t.requests++
	lost := spans
	switch {
	case out.failed:
		t.failed += spans
	case out.refused:
		t.refused += spans
	default:
		lost = min(out.rejected, spans)
		t.rejected += lost
		t.accepted += spans - lost
		t.latency.Add(latency)
		t.service.Add(service)
	}
	if out.reason != "" {
		t.count(&Reason{out.reason, 1, lost, out.text})
	}
}

func (t *tally) count(r *Reason) {
	if t.reasons == nil {
		t.reasons = map[string]*Reason{}
	}
	if known := t.reasons[r.Reason]; known != nil {
		known.Requests += r.Requests
		known.Spans += r.Spans
		return
	}
	t.reasons[r.Reason] = r
}

func (t *tally) merge(other *tally) {
	t.requests += other.requests
	t.accepted += other.accepted
	t.rejected += other.rejected
	t.refused += other.refused
	t.failed += other.failed
	t.latency.Merge(&other.latency)
	t.service.Merge(&other.service)
	for _, r := range other.reasons {
		t.count(r)
	}
}

// progress writes a line a second until done is closed.
func (d *driver) progress(w io.Writer, done <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	begin, last, before := time.Now(), time.Now(), d.accepted.Load()
	for {
		select {
		case <-done:
			return
		case now := <-tick.C:
			n := d.accepted.Load()
			fmt.Fprintf(w, "%4.0f s  %d spans accepted, %.0f a second\n", now.Sub(begin).Seconds(), n, float64(n-before)/now.Sub(last).Seconds())
			last, before = now, n
		}
	}
}
