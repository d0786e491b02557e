package api

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"etude/query"
)

// linesPath is etude's own route; docs/search-stream.md describes it.
const linesPath = "/api/etude/search"

const typeLines = "application/x-ndjson"

// linesEvery is how many times as often as gRPC's clients a browser is told: a person
// watches it.
const linesEvery = 2

// Lines of the answer, beside those with a trace.
type (
	progressLine struct {
		InspectedTraces int    `json:"inspectedTraces"`
		InspectedSpans  int    `json:"inspectedSpans"`
		CompletedJobs   int    `json:"completedJobs"`
		TotalJobs       int    `json:"totalJobs"`
		Reached         string `json:"reachedUnixNano,omitempty"`
	}
	endLine struct {
		InspectedTraces int `json:"inspectedTraces"`
		InspectedSpans  int `json:"inspectedSpans"`
	}
)

// searchLines answers a search line by line while it runs: traces as soon as they are
// sure to be in the answer, the newest first, and how far the search has come. Each
// trace comes once.
//
// Two goroutines write, one after the other: that of the news until it has been
// stopped, then the caller's.
func (s *server) searchLines(r *http.Request, o *out) error {
	req, err := searchRequest(r.URL.Query(), time.Now())
	if err != nil {
		return err
	}
	ctx, err := o.begin(r.Context())
	if err != nil {
		return err
	}
	o.contentType = typeLines
	news := &lineNews{o: o}
	req.Progress = news.note
	result, err := s.searchTelling(ctx, req, news)
	if err == nil {
		err = news.rest(result)
	}
	if err != nil && !news.broken {
		return o.errorLine(err)
	}
	return err
}

func (s *server) searchTelling(ctx context.Context, req query.Request, news *lineNews) (*query.Result, error) {
	defer repeat(s.ProgressInterval/linesEvery, news.tell)()
	return s.Engine.Search(ctx, req)
}

// errorLine tells an error of an answer that has begun, which has its status already.
func (o *out) errorLine(err error) error {
	if !o.begun || errors.Is(err, context.Canceled) || errors.Is(err, errGone) {
		o.b = o.b[:0]
		return err
	}
	markCut(o.w, o.s.statusOf(o.r.URL.Path, err))
	o.telling = true // the query is over: its time does not bound this line
	return o.line("error", err.Error())
}

func (o *out) traceLine(t *query.Trace) error {
	o.b = append(o.b, `{"trace":`...)
	err := o.traceJSON(t)
	o.b = append(o.b, "}\n"...)
	return err
}

// whole has a line written and takes back what was written of it when the query fails
// meanwhile, unless a part of it was sent: then the answer is cut.
func (o *out) whole(line func() error) (cut bool, err error) {
	mark, sends := len(o.b), o.sends
	if err = line(); err == nil {
		return false, nil
	}
	if o.sends != sends {
		return true, err
	}
	o.b = o.b[:mark]
	return false, err
}

func (o *out) line(name string, v any) error {
	o.b = append(o.b, `{"`+name+`":`...)
	err := o.json(v)
	o.b = append(o.b, "}\n"...)
	return err
}

// lineNews are the news of a search for one answer.
type lineNews struct {
	o *out

	// The telling goroutine owns these until it has been stopped.
	sent   int  // traces
	broken bool // a line was cut off

	mu   sync.Mutex
	come query.SearchProgress
}

func (n *lineNews) note(p query.SearchProgress) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.come = p
}

// tell sends what is new, and how far the search has come.
func (n *lineNews) tell() error {
	n.mu.Lock()
	p := n.come
	n.mu.Unlock()
	n.o.telling = true
	defer func() { n.o.telling = false }()
	if err := n.traces(p.Sure); err != nil {
		return err
	}
	err := n.o.line("progress", progressLine{p.InspectedTraces, p.InspectedSpans, p.PartsDone, p.Parts, decimal(p.Reached)})
	if err != nil {
		return err
	}
	err = n.o.flush()
	n.broken = err != nil
	return err
}

// rest sends the traces that were not told, and the end.
func (n *lineNews) rest(r *query.Result) error {
	if err := n.traces(r.Traces); err != nil {
		return err
	}
	return n.o.line("end", endLine{r.InspectedTraces, r.InspectedSpans})
}

// traces sends those of a search's traces that were not sent yet.
func (n *lineNews) traces(all []query.Trace) (err error) {
	for ; n.sent < len(all); n.sent++ {
		if n.broken, err = n.o.whole(func() error { return n.o.traceLine(&all[n.sent]) }); err != nil {
			return err
		}
	}
	return nil
}

// flush sends all that is written, and lets the client see it.
func (o *out) flush() error {
	err := o.send(o.b)
	o.b = o.b[:0]
	if err == nil && o.gzip != nil {
		err = o.gzip.Flush()
	}
	if err == nil {
		err = http.NewResponseController(o.w).Flush()
	}
	o.deadline(time.Time{})
	return err
}
