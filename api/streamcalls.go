package api

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"time"

	"etude/query"
)

// streamSearch answers a SearchRequest.
func (s *server) streamSearch(ctx context.Context, r *streamRequest, o *streamOut, t *teller) (func() error, error) {
	v, err := r.values(streamParam{4, "limit", false}, streamParam{5, "start", false}, streamParam{6, "end", false},
		streamParam{8, "q", true}, streamParam{9, "spss", false})
	if err != nil {
		return nil, err
	}
	if n := r.uint32(2); n != 0 {
		v.Set("minDuration", fmt.Sprintf("%dms", n))
	}
	if n := r.uint32(3); n != 0 {
		v.Set("maxDuration", fmt.Sprintf("%dms", n))
	}
	req, err := searchRequest(v, time.Now())
	if err != nil {
		return nil, err
	}
	if req.Tags, err = r.tags(1); err != nil {
		return nil, err
	}
	if err := checkTags(req.Tags); err != nil {
		return nil, err
	}
	if req.Query != "" && len(req.Tags) > 0 {
		return nil, badRequest("invalid request: can't specify tags and q in the same query")
	}
	news := searchNews{teller: t}
	req.Progress = news.note
	t.tell(news.message)
	if ctx, err = o.begin(ctx); err != nil {
		return nil, err
	}
	result, err := s.Engine.Search(ctx, req)
	if err != nil {
		return nil, err
	}
	return func() error { return o.sendResults(searchProto(result)) }, nil
}

// streamTags answers a SearchTagsRequest through an HTTP route.
func (s *server) streamTags(route func(*http.Request, *out) error) streamCall {
	return func(ctx context.Context, r *streamRequest, o *streamOut, _ *teller) (func() error, error) {
		v, err := r.values(streamParam{1, "scope", true}, streamParam{2, "q", true}, streamParam{3, "start", false},
			streamParam{4, "end", false}, streamParam{5, "limit", false}, streamParam{6, "maxStaleValues", false})
		if err != nil {
			return nil, err
		}
		return s.protoAnswer(ctx, o, route, "/", v)
	}
}

// streamValues answers a SearchTagValuesRequest through an HTTP route.
func (s *server) streamValues(path string, route func(*http.Request, *out) error) streamCall {
	return func(ctx context.Context, r *streamRequest, o *streamOut, _ *teller) (func() error, error) {
		v, err := r.values(streamParam{2, "q", true}, streamParam{4, "start", false}, streamParam{5, "end", false},
			streamParam{6, "limit", false}, streamParam{7, "maxStaleValues", false})
		if err != nil {
			return nil, err
		}
		tag, err := r.text(1)
		if err != nil {
			return nil, err
		}
		if tag == "" {
			return nil, badRequest("invalid request: tagName, field 1, is missing")
		}
		return s.protoAnswer(ctx, o, route, path+url.PathEscape(tag)+"/values", v)
	}
}

// protoAnswer requests protobuf from a route whose answers have a limited size.
func (s *server) protoAnswer(ctx context.Context, o *streamOut, route func(*http.Request, *out) error, path string, v url.Values) (func() error, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, path+"?"+v.Encode(), nil)
	if err != nil {
		return nil, badRequest("invalid request: %w", err)
	}
	r.Header.Set("Accept", typeProtobuf)
	a := &out{s: s, r: r}
	err = route(r, a)
	if o.job = a.job; err != nil {
		return nil, err
	}
	return func() error { return o.sendBody(a.b) }, nil
}

// streamRange answers a QueryRangeRequest.
func (s *server) streamRange(ctx context.Context, r *streamRequest, o *streamOut, t *teller) (func() error, error) {
	req, err := streamMetrics(r)
	if err != nil {
		return nil, err
	}
	req.Step = r.numbers[4]
	req.Exemplars = int(min(r.uint32(16), query.MaxExemplars))
	req.MaxSeries = int(min(r.uint32(17), math.MaxInt32))
	news := windowNews{every: s.ProgressInterval, maxSeries: req.MaxSeries, last: time.Now()}
	req.Progress, req.Parts = news.note, t.parts
	t.tell(news.message)
	if ctx, err = o.begin(ctx); err != nil {
		return nil, err
	}
	result, err := s.Engine.Metrics(ctx, req)
	if err != nil {
		return nil, err
	}
	return func() error { return o.sendResults(rangeProto(result, req.MaxSeries)) }, nil
}

// streamInstant answers a QueryInstantRequest.
func (s *server) streamInstant(ctx context.Context, r *streamRequest, o *streamOut, t *teller) (func() error, error) {
	req, err := streamMetrics(r)
	if err != nil {
		return nil, err
	}
	req.Instant, req.Parts = true, t.parts
	if ctx, err = o.begin(ctx); err != nil {
		return nil, err
	}
	result, err := s.Engine.Metrics(ctx, req)
	if err != nil {
		return nil, err
	}
	return func() error { return o.sendResults(instantProto(result, req.MaxSeries)) }, nil
}

// streamMetrics parses the fields that both metrics requests share. Their times are always nanoseconds, so it
// writes them longer than seconds could be.
func streamMetrics(r *streamRequest) (query.MetricsRequest, error) {
	v, err := r.values(streamParam{1, "q", true})
	if err != nil {
		return query.MetricsRequest{}, err
	}
	if n := r.numbers[2]; n != 0 {
		v.Set("start", fmt.Sprintf("%020d", n))
	}
	if n := r.numbers[3]; n != 0 {
		v.Set("end", fmt.Sprintf("%020d", n))
	}
	return metricsRequest(v, time.Now())
}
