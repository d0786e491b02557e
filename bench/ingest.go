package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// IngestOptions control what to send and where. The tags are those of the command line.
type IngestOptions struct {
	Access      Access        `kong:"-"`
	Target      string        `default:"grpc://127.0.0.1:4317" help:"OTLP receiver on this machine: grpc://127.0.0.1:PORT or http://127.0.0.1:PORT[/path]; with TLS grpcs:// or https://."`
	Spans       int64         `default:"1000000" help:"Number of spans to send."`
	Duration    time.Duration `help:"Time to send for, instead of a number of spans."`
	Warmup      int64         `default:"20000" help:"Number of spans to send before the measurement; 0 means none."`
	Batch       int           `default:"200" help:"Number of spans in a request."`
	Concurrency int           `default:"16" help:"Number of concurrent requests."`
	Connections int           `help:"Number of connections (default: 2 for gRPC; for HTTP, one for each concurrent request)."`
	Rate        float64       `help:"Spans a second; 0 means no limit."`
	Services    int           `default:"10" help:"Number of services that the spans come from."`
	Cardinality int64         `default:"1000000" help:"Number of distinct values of the attribute app.request.id; 0 means a new one for each span."`
	Compression string        `enum:"none,gzip" default:"none" help:"Compression of requests: none or gzip."`
	Timeout     time.Duration `default:"30s" help:"Maximum time of a request."`
	PID         int           `name:"pid" help:"Process id of the server, to measure its CPU and memory."`
	Dir         string        `type:"path" help:"Data directory of the server, to measure its disk use."`
	Settle      time.Duration `help:"Time to wait before the final measurement, so that it includes work that the server has deferred."`
}

func (o *IngestOptions) check() error {
	switch {
	case o.Spans < 1 && o.Duration <= 0:
		return errors.New("--spans must be at least 1, or --duration more than 0")
	case o.Duration < 0 || o.Warmup < 0 || o.Settle < 0 || o.PID < 0:
		return errors.New("--duration, --warmup, --settle and --pid must not be negative")
	case o.Batch < 1 || o.Batch > 100_000:
		return fmt.Errorf("--batch %d: want 1 to 100000", o.Batch)
	case o.Concurrency < 1 || o.Concurrency > 10_000:
		return fmt.Errorf("--concurrency %d: want 1 to 10000", o.Concurrency)
	case o.Connections < 0 || o.Connections > o.Concurrency:
		return fmt.Errorf("--connections %d: want at most one for each of the %d concurrent requests", o.Connections, o.Concurrency)
	case o.Rate < 0:
		return fmt.Errorf("--rate %g: want 0 or more", o.Rate)
	case o.Services < 1 || o.Services > 10_000:
		return fmt.Errorf("--services %d: want 1 to 10000", o.Services)
	case o.Cardinality < 0 || o.Cardinality > valueSpan:
		return fmt.Errorf("--cardinality %d: want 0 to %d", o.Cardinality, int64(valueSpan))
	case o.Compression != "none" && o.Compression != "gzip":
		return fmt.Errorf("--compression %q: want none or gzip", o.Compression)
	case o.Timeout <= 0:
		return errors.New("--timeout must be more than 0")
	}
	return nil
}

func (o *IngestOptions) connections(t target) int {
	switch {
	case o.Connections > 0:
		return o.Connections
	case t.grpc:
		return min(2, o.Concurrency)
	}
	return o.Concurrency
}

// Ingest sends spans according to the options, and measures. It writes progress to the writer. With an error
// after the start, it also returns a report of the work done.
func Ingest(ctx context.Context, o IngestOptions, progress io.Writer) (*IngestReport, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	t, err := parseTarget(o.Target, o.Access)
	if err != nil {
		return nil, err
	}
	if err := t.reach(ctx); err != nil {
		return nil, err
	}
	d, err := newDriver(t, &o)
	if err != nil {
		return nil, err
	}
	defer d.close()
	done := make(chan struct{})
	defer close(done)
	go d.progress(progress, done)
	return d.measure(ctx, &o)
}

// measure warms up, then runs the plan between two readings.
func (d *driver) measure(ctx context.Context, o *IngestOptions) (*IngestReport, error) {
	if o.Warmup > 0 {
		warm, err := d.run(ctx, plan{spans: o.Warmup, rate: o.Rate})
		if err != nil {
			return nil, fmt.Errorf("warm up: %w%s", err, warm.firstTrouble())
		}
	}
	probe := probe{o.PID, o.Dir}
	before, err := probe.read()
	if err != nil {
		return nil, err
	}
	p := plan{spans: o.Spans, rate: o.Rate}
	if o.Duration > 0 {
		timer, cancel := context.WithTimeout(ctx, o.Duration)
		defer cancel()
		p.spans, p.until = 0, timer.Done()
	}
	t, runErr := d.run(ctx, p)
	client, _ := ownCPU()
	sleep(ctx, o.Settle)
	after, err := probe.read()
	after.client = client
	return newIngestReport(o, d, t, before, after), errors.Join(runErr, err)
}

// firstTrouble returns one reason for the text of an error.
func (t *tally) firstTrouble() string {
	for _, r := range t.reasons {
		return fmt.Sprintf(" (%s: %s)", r.Reason, r.Example)
	}
	return ""
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// backgroundIngest returns the options of an ingest at a rate during other measurements.
func backgroundIngest(target string, access Access, rate float64) *IngestOptions {
	return &IngestOptions{Access: access, Target: target, Rate: rate, Spans: 1, Batch: 200, Concurrency: 16, Services: 10, Cardinality: 1e6,
		Compression: "none", Timeout: 30 * time.Second}
}

// beside runs an ingest in the background until stop is called. stop returns the accepted spans a second. With
// nil options, beside does nothing.
func beside(ctx context.Context, o *IngestOptions) (stop func() (float64, error), err error) {
	if o == nil {
		return func() (float64, error) { return 0, nil }, nil
	}
	t, err := parseTarget(o.Target, o.Access)
	if err != nil {
		return nil, err
	}
	if err := t.reach(ctx); err != nil {
		return nil, err
	}
	d, err := newDriver(t, o)
	if err != nil {
		return nil, err
	}
	until, result := make(chan struct{}), make(chan error, 1)
	var total *tally
	go func() {
		var err error
		total, err = d.run(ctx, plan{until: until, rate: o.Rate})
		result <- err
	}()
	return func() (float64, error) {
		close(until)
		err := <-result
		d.close()
		return float64(total.accepted) / total.elapsed.Seconds(), err
	}, nil
}
