package api

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-logfmt/logfmt"

	"etude/query"
	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// Limits of a search request.
const (
	maxTraces      = 262144
	maxSpansPerSet = 100
	maxTags        = 1000
)

// search answers /api/search.
func (s *server) search(r *http.Request, o *out) error {
	req, err := searchRequest(r.URL.Query(), time.Now())
	if err != nil {
		return err
	}
	ctx, err := o.begin(r.Context())
	if err != nil {
		return err
	}
	result, err := s.Engine.Search(ctx, req)
	if err != nil {
		return err
	}
	if wantsProtobuf(r) {
		o.contentType = typeProtobuf
		return o.proto(searchProto(result))
	}
	o.contentType = typeJSON
	return o.searchJSON(result)
}

func searchRequest(v url.Values, now time.Time) (req query.Request, err error) {
	req.Query = v.Get("q")
	if req.Start, req.End, err = window(v, true, now); err != nil {
		return req, err
	}
	if err := searchLimits(v, &req); err != nil {
		return req, err
	}
	if err := durations(v, &req); err != nil {
		return req, err
	}
	if req.Query != "" && v.Get("tags") != "" {
		return req, badRequest("invalid request: can't specify tags and q in the same query")
	}
	if req.Tags, err = legacyTags(v); err != nil {
		return req, err
	}
	return req, checkTags(req.Tags)
}

// checkTags limits the conditions of a search without TraceQL.
func checkTags(tags []eval.Tag) error {
	if len(tags) > maxTags {
		return badRequest("invalid tags: %d given, at most %d allowed", len(tags), maxTags)
	}
	return nil
}

func searchLimits(v url.Values, req *query.Request) error {
	limit, err := uintParam(v, "limit")
	if err != nil || v.Has("limit") && limit == 0 && v.Get("limit") != "" {
		return badRequest("invalid limit: must be a positive number")
	}
	if limit > maxTraces {
		return badRequest("limit %d exceeds max limit %d", limit, maxTraces)
	}
	spss, err := uintParam(v, "spss")
	if err != nil {
		return badRequest("invalid spss: must be a non-negative number")
	}
	if spss > maxSpansPerSet {
		return badRequest("spans per span set exceeds %d. received %d", maxSpansPerSet, spss)
	}
	req.Limit, req.SpansPerSpanSet = int(limit), int(spss)
	return nil
}

func durations(v url.Values, req *query.Request) (err error) {
	if req.MinDuration, err = durationParam(v, "minDuration"); err != nil {
		return err
	}
	if req.MaxDuration, err = durationParam(v, "maxDuration"); err != nil {
		return err
	}
	if req.MaxDuration > 0 && req.MinDuration > req.MaxDuration {
		return badRequest("invalid maxDuration: must be greater than minDuration")
	}
	return nil
}

// legacyTags parses the conditions of a search without TraceQL: the tags parameter or, without any parameter
// that selects spans, all unknown parameters.
func legacyTags(v url.Values) (tags []eval.Tag, err error) {
	if v.Has("tags") {
		return parseTags(v.Get("tags"))
	}
	if v.Has("q") || v.Has("start") || v.Has("end") {
		return nil, nil
	}
	for _, name := range others(v, "minDuration", "maxDuration", "limit", "spss", "since") {
		tags = append(tags, eval.Tag{Key: name, Value: v.Get(name)})
	}
	return tags, nil
}

// parseTags parses logfmt: k=v k2="v 2".
func parseTags(text string) (tags []eval.Tag, err error) {
	if len(text) > syntax.MaxLength {
		return nil, badRequest("invalid tags: %d bytes, at most %d allowed", len(text), syntax.MaxLength)
	}
	seen := map[string]bool{}
	d := logfmt.NewDecoder(strings.NewReader(text))
	for d.ScanRecord() {
		for d.ScanKeyval() {
			key := string(d.Key())
			if seen[key] {
				return nil, badRequest("invalid tags: tag %s has been set twice", key)
			}
			seen[key] = true
			tags = append(tags, eval.Tag{Key: key, Value: string(d.Value())})
		}
	}
	if err := d.Err(); err != nil && !errors.Is(err, io.EOF) {
		var bad *logfmt.SyntaxError
		if errors.As(err, &bad) {
			return nil, badRequest("invalid tags: %s at pos %d", bad.Msg, bad.Pos)
		}
		return nil, badRequest("invalid tags: %w", err)
	}
	return tags, nil
}
