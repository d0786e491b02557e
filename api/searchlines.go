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

// linesEvery divides the interval of progress messages: a browser, which a person watches, gets them twice as
// often as a gRPC client.
const linesEvery = 2

// The lines of the answer, except those with a trace.
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

// searchLines answers a search line by line while it runs. It sends each trace once, newest first, as soon as
// the trace is certain to be in the answer, and the progress of the search.
//
// Two goroutines write, one after the other: the goroutine of the news until it has been stopped, then the
// caller's.
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
		err = news.finish(result)
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

// errorLine sends the error of an answer whose status has been sent.
func (o *out) errorLine(err error) error {
	if !o.begun || errors.Is(err, context.Canceled) || errors.Is(err, errGone) {
		o.b = o.b[:0]
		return err
	}
	markCut(o.w, o.s.statusOf(o.r.URL.Path, err))
	o.telling = true // the query is over, so its time does not limit this line
	return o.line("error", err.Error())
}

func (o *out) traceLine(t *query.Trace) error {
	o.b = append(o.b, `{"trace":`...)
	err := o.traceJSON(t)
	o.b = append(o.b, "}\n"...)
	return err
}

// whole calls line, which writes a line. If that fails, whole removes the partial line, or reports cut if some
// of it has been sent.
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

// lineNews has the news of a search for one answer.
type lineNews struct {
	o *out

	// The goroutine that calls tell owns these until it has been stopped.
	sent   int  // traces
	broken bool // part of a line was sent, and the remainder was not

	mu   sync.Mutex
	come query.SearchProgress
}

func (n *lineNews) note(p query.SearchProgress) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.come = p
}

// tell sends the new traces and the progress of the search.
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

// finish sends the traces that have not been sent yet, and the end of the answer.
func (n *lineNews) finish(r *query.Result) error {
	if err := n.traces(r.Traces); err != nil {
		return err
	}
	return n.o.line("end", endLine{r.InspectedTraces, r.InspectedSpans})
}

// traces sends the traces of a search that have not been sent yet.
func (n *lineNews) traces(all []query.Trace) (err error) {
	for ; n.sent < len(all); n.sent++ {
		if n.broken, err = n.o.whole(func() error { return n.o.traceLine(&all[n.sent]) }); err != nil {
			return err
		}
	}
	return nil
}

// flush sends all buffered bytes on to the client.
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
