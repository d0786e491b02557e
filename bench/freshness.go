package bench

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"etude/internal/histogram"
)

// FreshnessOptions choose the receiver and the API to measure.
type FreshnessOptions struct {
	Access     Access        `kong:"-"`
	Target     string        `default:"grpc://127.0.0.1:4317" help:"OTLP receiver on this machine: grpc://127.0.0.1:PORT or http://127.0.0.1:PORT[/path]; with TLS grpcs:// or https://."`
	API        string        `name:"api" default:"http://127.0.0.1:3200" help:"Base URL of Tempo's API on this machine."`
	Traces     int           `default:"1000" help:"Number of traces to find in each way."`
	Warmup     int           `default:"20" help:"Number of traces before the measurement; 0 means none."`
	SearchBy   string        `enum:"id,value" default:"id" help:"Condition of the search: trace:id, or the value of an attribute that no other trace has."`
	Timeout    time.Duration `default:"10s" help:"Time after which a trace counts as not found."`
	IngestRate float64       `help:"Spans a second to send in the background; 0 means none."`
}

// FreshnessReport describes the time from a trace's acknowledgement until a query found it.
type FreshnessReport struct {
	Target     string  `json:"target"`
	API        string  `json:"api"`
	Traces     int     `json:"traces"`
	Query      string  `json:"query"`
	Ack        Latency `json:"acknowledged"`
	ByID       Found   `json:"found_by_id"`
	BySearch   Found   `json:"found_by_search"`
	IngestRate float64 `json:"ingest_spans_per_second"` // accepted during the measurement
}

// Found is the result of one way of finding traces. A trace found by its first request has one look.
type Found struct {
	Latency
	Looks   float64 `json:"looks"` // requests per trace, on average
	Missing int     `json:"not_found"`
}

func (o *FreshnessOptions) check() error {
	switch {
	case o.Traces < 1 || o.Warmup < 0:
		return errors.New("--traces must be at least 1, and --warmup not negative")
	case o.SearchBy != "id" && o.SearchBy != "value":
		return fmt.Errorf("--search-by %q: want id or value", o.SearchBy)
	case o.Timeout <= 0 || o.IngestRate < 0:
		return errors.New("--timeout must be more than 0, and --ingest-rate not negative")
	}
	return nil
}

// Freshness sends traces one by one and sends requests for each until one finds it. It alternates between
// requests by id and searches, so that neither waits for the other.
func Freshness(ctx context.Context, o FreshnessOptions) (*FreshnessReport, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	api, err := newAPIClient(ctx, o.API, o.Access, o.Timeout)
	if err != nil {
		return nil, err
	}
	t, err := parseTarget(o.Target, o.Access)
	if err != nil {
		return nil, err
	}
	if err := t.reach(ctx); err != nil {
		return nil, err
	}
	d, err := newDriver(t, &IngestOptions{Batch: spansPerTrace, Concurrency: 1, Services: 10, Compression: "none", Timeout: o.Timeout})
	if err != nil {
		return nil, err
	}
	defer d.close()
	var background *IngestOptions
	if o.IngestRate > 0 {
		background = backgroundIngest(o.Target, o.Access, o.IngestRate)
	}
	stop, err := beside(ctx, background)
	if err != nil {
		return nil, err
	}
	f := &freshness{driver: d, api: api, options: &o, report: &FreshnessReport{Target: o.Target, API: o.API, Traces: o.Traces, Query: `{trace:id="..."}`}}
	if o.SearchBy == "value" {
		f.report.Query = `{span.` + valueKey + `="..."}`
	}
	err = f.run(ctx)
	rate, stopErr := stop()
	f.report.IngestRate = rate
	return f.report, errors.Join(err, stopErr)
}

type freshness struct {
	*driver
	api     *apiClient
	options *FreshnessOptions
	report  *FreshnessReport
	ack     histogram.Durations
}

func (f *freshness) run(ctx context.Context) error {
	ways := [2]struct {
		look  func(ctx context.Context, trace, span uint64) (bool, error)
		found histogram.Durations
		out   *Found
		looks int
	}{{look: f.byID, out: &f.report.ByID}, {look: f.bySearch, out: &f.report.BySearch}}
	for i := range f.options.Warmup + f.options.Traces {
		for n := range ways {
			w := &ways[n]
			trace, span, took, err := f.sendTrace(ctx)
			if err != nil {
				return err
			}
			after, looks, err := f.until(ctx, func(ctx context.Context) (bool, error) { return w.look(ctx, trace, span) })
			switch {
			case err != nil:
				return err
			case i < f.options.Warmup:
				continue
			case looks == 0:
				w.out.Missing++
				continue
			}
			f.ack.Add(took)
			w.found.Add(after)
			w.looks += looks
		}
	}
	f.report.Ack = summary(&f.ack)
	for n := range ways {
		w := &ways[n]
		w.out.Latency, w.out.Looks = summary(&w.found), float64(w.looks)/float64(max(w.found.Count(), 1))
	}
	return nil
}

func (f *freshness) sendTrace(ctx context.Context) (trace, span uint64, took time.Duration, err error) {
	buffer := f.pool.Get(0)
	begin := time.Now()
	*buffer, trace, span = f.whole.fill(*buffer, begin)
	out := f.senders[0].send(ctx, buffer)
	if out.refused || out.failed || out.rejected > 0 {
		return 0, 0, 0, fmt.Errorf("send trace: %s: %s", out.reason, out.text)
	}
	return trace, span, time.Since(begin), nil
}

// until calls look until it finds something, and returns the time from the call of until to the end of that
// look. looks is 0 when it found nothing in time.
func (f *freshness) until(ctx context.Context, look func(context.Context) (bool, error)) (after time.Duration, looks int, err error) {
	begin := time.Now()
	for looks = 1; ; looks++ {
		found, err := look(ctx)
		after = time.Since(begin)
		var timed net.Error
		switch {
		case after >= f.options.Timeout && ctx.Err() == nil && errors.As(err, &timed) && timed.Timeout():
			return 0, 0, nil // no answer in time
		case err != nil:
			return 0, 0, err
		case found:
			return after, looks, nil
		case after > f.options.Timeout:
			return 0, 0, nil
		}
		sleep(ctx, min(max(after/10, 200*time.Microsecond), 50*time.Millisecond))
	}
}

func (f *freshness) byID(ctx context.Context, trace, _ uint64) (bool, error) {
	status, body, err := f.api.get(ctx, "/api/v2/traces/"+traceID(f.source, trace))
	if err != nil || status == http.StatusNotFound {
		return false, err
	}
	if status != http.StatusOK {
		return false, fmt.Errorf("find trace: HTTP %d: %.200s", status, body)
	}
	var answer struct {
		Trace struct{ ResourceSpans []json.RawMessage }
	}
	err = json.Unmarshal(body, &answer)
	return len(answer.Trace.ResourceSpans) > 0, err
}

func (f *freshness) bySearch(ctx context.Context, trace, span uint64) (bool, error) {
	query := fmt.Sprintf(`{trace:id=%q}`, traceID(f.source, trace))
	if f.options.SearchBy == "value" {
		query = fmt.Sprintf(`{span.%s="%s%0*d"}`, valueKey, valuePrefix, valueDigits, f.source.valueNumber(span))
	}
	status, body, err := f.api.get(ctx, "/api/search?q="+url.QueryEscape(query))
	if err != nil {
		return false, err
	}
	if status != http.StatusOK {
		return false, fmt.Errorf("search %s: HTTP %d: %.200s", query, status, body)
	}
	var answer struct{ Traces []json.RawMessage }
	err = json.Unmarshal(body, &answer)
	return len(answer.Traces) > 0, err
}

func rawTraceID(s *source, trace uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, s.traceHi(trace)), s.traceLo(trace))
}

func traceID(s *source, trace uint64) string { return fmt.Sprintf("%x", rawTraceID(s, trace)) }

// Write prints the report as a table.
func (r *FreshnessReport) Write(w io.Writer) error {
	fmt.Fprintf(w, "%d traces of %d spans to %s, queried at %s", r.Traces, spansPerTrace, r.Target, r.API)
	if r.IngestRate > 0 {
		fmt.Fprintf(w, ", while sending %.0f spans/s", r.IngestRate)
	}
	fmt.Fprintln(w)
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "ms\tp50\tp90\tp99\tmax\tlooks\tnot found\t")
	row := func(name string, l Latency) {
		fmt.Fprintf(tab, "%s\t%.2f\t%.2f\t%.2f\t%.2f\t", name, l.P50, l.P90, l.P99, l.Max)
	}
	row("acknowledged", r.Ack)
	fmt.Fprintln(tab, "\t\t")
	row("then by id", r.ByID.Latency)
	fmt.Fprintf(tab, "%.2f\t%d\t\n", r.ByID.Looks, r.ByID.Missing)
	row("then by "+r.Query, r.BySearch.Latency)
	fmt.Fprintf(tab, "%.2f\t%d\t\n", r.BySearch.Looks, r.BySearch.Missing)
	return tab.Flush()
}
