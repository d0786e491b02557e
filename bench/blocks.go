package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// BlocksOptions control the amount of history and how it is queried.
type BlocksOptions struct {
	Spans       int64         `default:"20000000" help:"Number of spans to fill the directory to; 0 means to measure its present content."`
	Dir         string        `required:"" type:"path" help:"Data directory of the backend, empty or from an earlier run. It is kept."`
	Count       int           `default:"50" help:"Number of times to send each query after warm-up."`
	Starts      int           `default:"3" help:"Number of backend starts after which to send each query."`
	Budget      time.Duration `default:"10s" help:"Total time of a query's answers after which it is not sent again."`
	Timeout     time.Duration `default:"60s" help:"Maximum time of an answer, a start or a shutdown."`
	After       time.Duration `default:"30s" help:"Age at which spans are written to blocks while the directory is filled."`
	Cardinality int64         `default:"1000000" help:"Number of distinct values of the attribute app.request.id; 0 means a new one for each span."`

	// Server is the command that starts the backend; it gets the flags of etude backend
	// for data directory and addresses.
	Server []string `kong:"-"`
}

// BlocksReport describes the cost of a history and the speed of its queries. Sizes are bytes.
type BlocksReport struct {
	Spans      int64         `json:"spans"`
	InBlocks   int64         `json:"spans_in_blocks"`
	Blocks     int64         `json:"blocks"`
	BlockBytes int64         `json:"block_bytes"` // data, sidecars and all other files
	Sidecars   int64         `json:"sidecar_bytes"`
	Ready      float64       `json:"ready_ms"` // p50, from the start of the process
	Started    int64         `json:"rss_started_bytes"`
	Asked      int64         `json:"rss_asked_bytes"` // after all queries
	Peak       int64         `json:"rss_peak_bytes"`
	Queries    []BlocksQuery `json:"queries"`
}

// BlocksQuery is the result of one query.
type BlocksQuery struct {
	QueryResult         // warm
	Cold        Latency `json:"cold"` // the first answer after a start; the system's file cache is warm
	CPU         float64 `json:"cpu_ms"`
}

// blockQueries names the built-in queries for history.
var blockQueries = []string{"trace by id", "by service", "rare value", "absent value", "name and duration", "structure", "rate by service"}

func (o *BlocksOptions) check() error {
	switch {
	case o.Spans < 0 || o.Count < 1 || o.Starts < 1:
		return errors.New("--spans must not be negative, --count and --starts at least 1")
	case o.After <= 0 || o.Cardinality < 0 || o.Cardinality > valueSpan:
		return fmt.Errorf("--after must be more than 0, and --cardinality 0 to %d", int64(valueSpan))
	case o.Budget <= 0 || o.Timeout <= 0:
		return errors.New("--budget and --timeout must be more than 0")
	}
	return nil
}

// Blocks fills its own backend with history, restarts it several times, and measures. It writes progress to the
// writer.
func Blocks(ctx context.Context, o BlocksOptions, progress io.Writer) (*BlocksReport, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := o.fill(ctx, progress); err != nil {
		return nil, fmt.Errorf("fill %s: %w", o.Dir, err)
	}
	r := &BlocksReport{}
	starts, err := r.cold(ctx, &o, progress)
	if err != nil {
		return nil, err
	}
	r.Ready = starts.P50
	return r, r.warm(ctx, &o, progress)
}

// fill sends spans until there are enough, and waits until they are in blocks.
func (o *BlocksOptions) fill(ctx context.Context, progress io.Writer) error {
	if o.Spans == 0 {
		return nil
	}
	s, err := o.start(ctx, []string{"--blocks.after", o.After.String()})
	if err != nil {
		return err
	}
	ingest := IngestOptions{Target: "grpc://" + s.otlp, Batch: 200, Concurrency: 16, Services: 10, Cardinality: o.Cardinality, Compression: "none", Timeout: o.Timeout}
	for accepted := time.Now(); ; {
		held, err := s.gauges(ctx)
		if err != nil {
			return errors.Join(err, s.stop(o.Timeout))
		}
		if ingest.Spans = o.Spans - held.spans; ingest.Spans <= 0 {
			break
		}
		report, err := Ingest(ctx, ingest, progress)
		switch {
		case err != nil:
		case report.Accepted > 0:
			accepted = time.Now()
		case time.Since(accepted) > patience:
			err = fmt.Errorf("the backend has accepted no spans for %s: %v", patience, report.Reasons)
		default: // Its memory is full until it has written a block.
			sleep(ctx, time.Second)
		}
		if err != nil {
			return errors.Join(err, s.stop(o.Timeout))
		}
	}
	err = s.settle(ctx, o.After+patience, progress)
	return errors.Join(err, s.stop(o.Timeout))
}

// patience is the extra time the last spans may take to reach a block.
const patience = 60 * time.Second

// settle waits until all spans are in blocks, or until no more are written to blocks.
func (s *server) settle(ctx context.Context, patience time.Duration, progress io.Writer) error {
	last, since := int64(-1), time.Now()
	for {
		held, err := s.gauges(ctx)
		if err != nil {
			return err
		}
		if held.inBlocks != last {
			last, since = held.inBlocks, time.Now()
			fmt.Fprintf(progress, "%d of %d spans in blocks\n", held.inBlocks, held.spans)
		}
		if held.inBlocks >= held.spans || time.Since(since) > patience {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// cold sends each query once, after a separate start, and returns the durations of the starts.
func (r *BlocksReport) cold(ctx context.Context, o *BlocksOptions, progress io.Writer) (ready Latency, err error) {
	list, err := parseQueries(builtinQueries)
	if err != nil {
		return ready, err
	}
	for _, q := range list {
		if slices.Contains(blockQueries, q.Name) {
			r.Queries = append(r.Queries, BlocksQuery{QueryResult: q})
		}
	}
	if err := r.fillIn(ctx, o); err != nil {
		return ready, err
	}
	var starts QueryResult
	for i := range r.Queries {
		q := &r.Queries[i]
		first := QueryResult{Name: q.Name, Query: q.Query}
		for range o.Starts {
			s, err := o.start(ctx, nil)
			if err != nil {
				return ready, err
			}
			starts.times.Add(s.ready)
			r.Started = max(r.Started, s.use().rss)
			_, err = s.ask(ctx, &first)
			if err = errors.Join(err, s.stop(o.Timeout)); err != nil {
				return ready, err
			}
		}
		q.Cold = summary(&first.times)
		fmt.Fprintf(progress, "%s, first after a start: %.1f ms %s\n", q.Name, q.Cold.P50, first.Error)
	}
	return summary(&starts.times), nil
}

// fillIn fills in the queries with words of the newest trace, and records the contents of the store.
func (r *BlocksReport) fillIn(ctx context.Context, o *BlocksOptions) error {
	s, err := o.start(ctx, nil)
	if err != nil {
		return err
	}
	list := make([]QueryResult, len(r.Queries))
	for i, q := range r.Queries {
		list[i] = q.QueryResult
	}
	err = fillIn(ctx, s.api, list)
	for i := range list {
		r.Queries[i].Query = overAll(list[i].Query)
	}
	held, heldErr := s.gauges(ctx)
	r.Spans, r.InBlocks, r.Blocks, r.BlockBytes = held.spans, held.inBlocks, held.blocks, held.bytes
	r.Sidecars, _ = filesNamed(filepath.Join(o.Dir, "blocks"), "etude.sidecar")
	return errors.Join(err, heldErr, s.stop(o.Timeout))
}

// overAll extends the range of a metrics query to the whole history. The range of a search is a parameter of
// its request.
func overAll(query string) string {
	if !strings.Contains(query, "/query_range?") {
		return query
	}
	now := time.Now()
	return query + "&step=5m&start=" + strconv.FormatInt(now.Add(-history).Unix(), 10) + "&end=" + strconv.FormatInt(now.Unix()+1, 10)
}

// history is the time range of queries; metrics queries may cover at most a day.
const history = 23 * time.Hour

// warm sends each query many times to one backend.
func (r *BlocksReport) warm(ctx context.Context, o *BlocksOptions, progress io.Writer) error {
	s, err := o.start(ctx, nil)
	if err != nil {
		return err
	}
	for i := range r.Queries {
		q := &r.Queries[i]
		if err = r.warmOne(ctx, s, q, o); err != nil {
			break
		}
		fmt.Fprintf(progress, "%s, warm: %.1f ms, CPU %.1f ms %s\n", q.Name, q.P50, q.CPU, q.Error)
	}
	use := s.use()
	r.Asked, r.Peak = use.rss, use.peak
	return errors.Join(err, s.stop(o.Timeout))
}

func (r *BlocksReport) warmOne(ctx context.Context, s *server, q *BlocksQuery, o *BlocksOptions) error {
	var spent time.Duration
	for range 2 { // not counted
		took, err := s.ask(ctx, &QueryResult{Query: q.Query})
		if err != nil {
			return err
		}
		spent += took
	}
	before := s.use()
	for q.Asked < o.Count && (spent < o.Budget || q.Asked == 0) {
		took, err := s.ask(ctx, &q.QueryResult)
		if err != nil {
			return err
		}
		spent += took
	}
	q.Latency = summary(&q.times)
	q.CPU = micros(s.use().cpu-before.cpu) / 1000 / float64(q.Asked)
	return nil
}
