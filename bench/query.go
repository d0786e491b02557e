package bench

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"etude/internal/histogram"
)

//go:embed queries.txt
var builtinQueries string

// QueryOptions choose the queries and the API to measure.
type QueryOptions struct {
	Access      Access        `kong:"-"`
	API         string        `name:"api" default:"http://127.0.0.1:3200" help:"Base URL of Tempo's API on this machine."`
	File        string        `type:"existingfile" placeholder:"FILE" help:"File of queries, one a line: a name, a colon, and TraceQL or the path of an API route (default: a built-in list)."`
	Count       int           `default:"200" help:"Number of times to send each query."`
	Warmup      int           `default:"5" help:"Number of times to send each query before the measurement."`
	Limit       int           `default:"20" help:"Maximum number of traces that a search returns."`
	Last        time.Duration `default:"1h" help:"Time range of a search, up to now; 0 means to send none."`
	Timeout     time.Duration `default:"30s" help:"Maximum time of an answer."`
	Budget      time.Duration `default:"10s" help:"Total time of a query's answers after which it is not sent again."`
	IngestRate  float64       `help:"Spans a second to send in the background; 0 means none."`
	IngestFull  bool          `help:"Send spans in the background without a rate limit."`
	Batch       int           `default:"200" help:"Number of spans in a request of --ingest-rate or --ingest-full."`
	Concurrency int           `default:"16" help:"Number of concurrent requests of --ingest-rate or --ingest-full."`
	Target      string        `default:"grpc://127.0.0.1:4317" help:"OTLP receiver for the spans of --ingest-rate or --ingest-full."`
}

// QueryReport has the latency of each query.
type QueryReport struct {
	API        string        `json:"api"`
	Count      int           `json:"count"`
	Queries    []QueryResult `json:"queries"`
	IngestRate float64       `json:"ingest_spans_per_second"` // accepted during the measurement
}

// QueryResult is the result of one query. Latency covers successful answers.
type QueryResult struct {
	Name  string `json:"name"`
	Query string `json:"query"`
	Latency
	Asked  int    `json:"asked"`
	Bytes  int    `json:"bytes"` // of the last answer
	Errors int    `json:"errors"`
	Error  string `json:"error,omitempty"` // the last one

	times histogram.Durations
	spent time.Duration // including the warm-up
}

func (o *QueryOptions) check() error {
	switch {
	case o.Count < 1 || o.Warmup < 0:
		return errors.New("--count must be at least 1, and --warmup not negative")
	case o.Limit < 1:
		return errors.New("--limit must be at least 1")
	case o.Timeout <= 0 || o.Budget <= 0 || o.IngestRate < 0 || o.Last < 0:
		return errors.New("--timeout and --budget must be more than 0, and --ingest-rate and --last not negative")
	}
	if o.IngestFull && o.IngestRate > 0 {
		return errors.New("--ingest-rate and --ingest-full: set only one of them")
	}
	if b := o.background(); b != nil {
		return b.check()
	}
	return nil
}

// background returns the options of the ingest during the queries, or nil.
func (o *QueryOptions) background() *IngestOptions {
	if o.IngestRate == 0 && !o.IngestFull {
		return nil
	}
	b := backgroundIngest(o.Target, o.Access, o.IngestRate)
	b.Batch, b.Concurrency = o.Batch, o.Concurrency
	return b
}

// Query sends all queries in turn, for many rounds, one at a time. With an error after the start, it also
// returns a report of the work done.
func Query(ctx context.Context, o QueryOptions) (*QueryReport, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	text, name := builtinQueries, "the built-in queries"
	if o.File != "" {
		b, err := os.ReadFile(o.File)
		if err != nil {
			return nil, fmt.Errorf("read queries: %w", err)
		}
		text, name = string(b), o.File
	}
	queries, err := parseQueries(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	api, err := newAPIClient(ctx, o.API, o.Access, o.Timeout)
	if err != nil {
		return nil, err
	}
	if err := fillIn(ctx, api, queries); err != nil {
		return nil, err
	}
	stop, err := beside(ctx, o.background())
	if err != nil {
		return nil, err
	}
	err = askAll(ctx, api, queries, &o)
	rate, stopErr := stop()
	return &QueryReport{API: o.API, Count: o.Count, Queries: queries, IngestRate: rate}, errors.Join(err, stopErr)
}

// parseQueries parses lines of "name: query". It skips empty lines and lines that begin with #.
func parseQueries(text string) (queries []QueryResult, err error) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, query, ok := strings.Cut(line, ":")
		name, query = strings.TrimSpace(name), strings.TrimSpace(query)
		if !ok || name == "" || query == "" || strings.ContainsAny(name, "{}/\"") {
			return nil, fmt.Errorf("line %d: %q: want a name, a colon, and TraceQL or a path", number, line)
		}
		queries = append(queries, QueryResult{Name: name, Query: query})
	}
	if len(queries) == 0 {
		return nil, errors.New("no queries")
	}
	return queries, nil
}

func askAll(ctx context.Context, api *apiClient, queries []QueryResult, o *QueryOptions) error {
	defer func() {
		for i := range queries {
			queries[i].Latency = summary(&queries[i].times)
		}
	}()
	for round := range o.Warmup + o.Count {
		for i := range queries {
			q := &queries[i]
			if q.spent > o.Budget && q.Asked > 0 {
				continue
			}
			begin := time.Now()
			status, body, err := api.get(ctx, q.path(o, begin))
			took := time.Since(begin)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			q.spent += took
			if round < o.Warmup {
				continue
			}
			q.book(took, status, body, err)
		}
	}
	return nil
}

func (q *QueryResult) path(o *QueryOptions, now time.Time) string {
	if q.Query[0] == '/' {
		return q.Query
	}
	v := url.Values{"q": {q.Query}, "limit": {fmt.Sprint(o.Limit)}}
	if o.Last > 0 {
		v.Set("start", fmt.Sprint(now.Add(-o.Last).Unix()))
		v.Set("end", fmt.Sprint(now.Unix()+1))
	}
	return "/api/search?" + v.Encode()
}

func (q *QueryResult) book(took time.Duration, status int, body []byte, err error) {
	q.Asked++
	switch {
	case err != nil:
		q.Errors++
		q.Error = err.Error()
	case status != http.StatusOK:
		q.Errors++
		q.Error = fmt.Sprintf("HTTP %d: %.200s", status, body)
	default:
		q.times.Add(took)
		q.Bytes = len(body)
	}
}

// Write prints the report as a table.
func (r *QueryReport) Write(w io.Writer) error {
	fmt.Fprintf(w, "each query at most %d times at %s", r.Count, r.API)
	if r.IngestRate > 0 {
		fmt.Fprintf(w, ", while sending %.0f spans/s", r.IngestRate)
	}
	fmt.Fprintln(w)
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "query\tp50 ms\tp99 ms\tmax ms\tasked\tbytes\terrors\t")
	for _, q := range r.Queries {
		fmt.Fprintf(tab, "%s\t%.2f\t%.2f\t%.2f\t%d\t%d\t%d\t%s\n", q.Name, q.P50, q.P99, q.Max, q.Asked, q.Bytes, q.Errors, q.Error)
	}
	return tab.Flush()
}
