package api

import (
	"math"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"etude/query"
	"etude/query/compare"
	"etude/trace"
)

// comparePath is etude's own route; docs/compare.md describes it.
const comparePath = "/api/etude/compare"

// maxForm limits the body of a comparison: two queries of the maximum length.
const maxForm = 1 << 20

// compare answers why the traces of one side take longer than the other's.
func (s *server) compare(r *http.Request, o *out) error {
	v, err := formOf(o.w, r)
	if err != nil {
		return err
	}
	req, err := compareRequest(v, time.Now())
	if err != nil {
		return err
	}
	ctx, err := o.begin(r.Context())
	if err != nil {
		return err
	}
	c, err := s.Engine.Compare(ctx, req)
	if err != nil {
		return err
	}
	o.contentType = typeJSON
	return o.comparison(c, v.Get("rows") == "0")
}

// formOf returns the parameters of a request. A POST may have them in its body.
func formOf(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		return r.URL.Query(), nil
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, badRequest("Content-Type %q: the body must be a form, application/x-www-form-urlencoded", r.Header.Get("Content-Type"))
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return nil, badRequest("invalid form: %w", err)
	}
	return r.Form, nil
}

func compareRequest(v url.Values, now time.Time) (req query.CompareRequest, err error) {
	if unknown := others(v, "before", "after", "start", "end", "since", "beforeStart", "beforeEnd", "afterStart", "afterEnd", "limit", "rows"); len(unknown) > 0 {
		return req, badRequest("unknown parameter %s: want before, after, start, end, since, beforeStart, beforeEnd, afterStart, afterEnd, limit and rows", unknown[0])
	}
	if req.Before, err = compareSide(v, "before", now); err != nil {
		return req, err
	}
	if req.After, err = compareSide(v, "after", now); err != nil {
		return req, err
	}
	limit, err := uintParam(v, "limit")
	if err != nil {
		return req, err
	}
	rows, err := uintParam(v, "rows")
	if err != nil {
		return req, err
	}
	req.Limit, req.Rows = int(min(limit, math.MaxInt32)), int(min(rows, math.MaxInt32))
	return req, nil
}

// usual is the value for the usual duration of an operation.
const usual = "usual"

// compareSide parses a side: the id of a trace, a query, or "usual".
func compareSide(v url.Values, name string, now time.Time) (s query.CompareSide, err error) {
	switch text := strings.TrimSpace(v.Get(name)); {
	case text == usual:
		s.Usual = true
	case text == "" || strings.ContainsAny(text, "{("):
		s.Query = text
	default:
		if s.Trace, err = trace.ParseTraceID(text); err != nil {
			return s, badRequest("%s is neither the id of a trace nor a TraceQL query: %w", name, err)
		}
	}
	own := url.Values{"start": v["start"], "end": v["end"], "since": v["since"]}
	if v.Has(name+"Start") || v.Has(name+"End") {
		own = url.Values{"start": v[name+"Start"], "end": v[name+"End"]}
	}
	if s.Start, s.End, err = window(own, false, now); err != nil {
		return s, badRequest("%s: %w", name, err)
	}
	return s, nil
}

// The types of the answer. Times are nanoseconds, and means per trace.
type (
	comparedSide struct {
		Query      string   `json:"query,omitempty"`
		Traces     int      `json:"traces"`
		Found      int      `json:"found"`
		Partial    int      `json:"partial,omitempty"`
		Spans      int      `json:"spans"`
		MeanNanos  float64  `json:"meanNanos"`
		P50Nanos   int64    `json:"p50Nanos"`
		P95Nanos   int64    `json:"p95Nanos"`
		FirstTrace []string `json:"traceIds"`
	}
	comparedPart struct {
		Row         int     `json:"row"`
		Service     string  `json:"service"`
		Name        string  `json:"name"`
		CalledBy    string  `json:"calledBy,omitempty"`
		Change      string  `json:"change"`
		Difference  float64 `json:"differenceNanos"`
		BeforeCalls float64 `json:"beforeCalls"`
		AfterCalls  float64 `json:"afterCalls"`
		BeforeOwn   float64 `json:"beforeOwnNanos"`
		AfterOwn    float64 `json:"afterOwnNanos"`
	}
	comparedRow struct {
		Parent     int           `json:"parent"`
		Service    string        `json:"service"`
		Name       string        `json:"name"`
		WasService string        `json:"wasService,omitempty"`
		WasName    string        `json:"wasName,omitempty"`
		Own        float64       `json:"ownDifferenceNanos,omitempty"`
		Overlap    float64       `json:"overlapDifferenceNanos,omitempty"`
		Inside     float64       `json:"insideDifferenceNanos,omitempty"`
		Before     *comparedCall `json:"before,omitempty"`
		After      *comparedCall `json:"after,omitempty"`
	}
	comparedCall struct {
		Calls   float64 `json:"calls"`
		Errors  float64 `json:"errors,omitempty"`
		Length  float64 `json:"lengthNanos"`
		OnPath  float64 `json:"onPathNanos"`
		Own     float64 `json:"ownNanos"`
		At      float64 `json:"offsetNanos"`
		TraceID string  `json:"traceId"`
		SpanID  string  `json:"spanId"`
	}
)

// shownParts and shownTraces limit two lists of the answer. Its rows and the traces' own routes have all
// entries.
const shownParts, shownTraces = 50, 20

// comparison writes the answer; short leaves out the rows.
func (o *out) comparison(c *query.Comparison, short bool) error {
	o.b = append(o.b, `{"before":`...)
	if err := o.json(sideOf(&c.Before)); err != nil {
		return err
	}
	o.b = append(o.b, `,"after":`...)
	if err := o.json(sideOf(&c.After)); err != nil {
		return err
	}
	o.b = append(o.b, `,"differenceNanos":`...)
	if err := o.json(c.Difference()); err != nil {
		return err
	}
	o.b = append(o.b, `,"others":`...)
	if err := o.json(map[string]any{"rows": c.Others, "differenceNanos": c.OthersTime}); err != nil {
		return err
	}
	o.b = append(o.b, `,"parts":`...)
	if err := o.json(partsOf(c.Report)); err != nil {
		return err
	}
	if !short {
		o.b = append(o.b, `,"rows":[`...)
		for i := range c.Rows {
			if i > 0 {
				o.b = append(o.b, ',')
			}
			if err := o.json(rowOf(c, &c.Rows[i])); err != nil {
				return err
			}
			if err := o.step(); err != nil {
				return err
			}
		}
		o.b = append(o.b, ']')
	}
	o.b = append(o.b, '}')
	return nil
}

func sideOf(c *query.Compared) comparedSide {
	out := comparedSide{
		Query: c.Query, Traces: len(c.Traces), Found: c.Found, Partial: c.Partial, Spans: c.Profile.Spans(),
		MeanNanos: c.Profile.Mean(), P50Nanos: c.Profile.Quantile(0.5), P95Nanos: c.Profile.Quantile(0.95),
	}
	for _, id := range c.Traces[:min(len(c.Traces), shownTraces)] {
		out.FirstTrace = append(out.FirstTrace, id.String())
	}
	return out
}

// partsOf lists the causes of the difference, the largest first. A row has two parts if both its own time and
// the overlap inside it differ.
func partsOf(r *compare.Report) []comparedPart {
	parts := []comparedPart{}
	for _, p := range r.Parts(shownParts) {
		row := &r.Rows[p.Row]
		part := comparedPart{Row: p.Row, Service: row.Service, Name: row.Name, Change: string(p.Change), Difference: p.Difference}
		if row.Parent >= 0 {
			up := &r.Rows[row.Parent]
			part.CalledBy = strings.TrimSpace(up.Service + " " + up.Name)
		}
		if row.Before != nil {
			part.BeforeCalls, part.BeforeOwn = row.Before.Calls, row.Before.Own
		}
		if row.After != nil {
			part.AfterCalls, part.AfterOwn = row.After.Calls, row.After.Own
		}
		parts = append(parts, part)
	}
	return parts
}

func rowOf(c *query.Comparison, r *compare.Row) comparedRow {
	return comparedRow{
		Parent: r.Parent, Service: r.Service, Name: r.Name, WasService: r.WasService, WasName: r.WasName,
		Own: r.Own, Overlap: r.Overlap, Inside: r.Inside, Before: callSide(&c.Before, r.Before), After: callSide(&c.After, r.After),
	}
}

func callSide(of *query.Compared, s *compare.Side) *comparedCall {
	if s == nil {
		return nil
	}
	return &comparedCall{
		Calls: s.Calls, Errors: s.Errors, Length: s.Length, OnPath: s.OnPath, Own: s.Own, At: s.At,
		TraceID: of.Traces[s.Example.Trace].String(), SpanID: s.Example.Span.String(),
	}
}
