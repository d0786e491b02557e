package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"etude/query"
)

type (
	tagsResponse struct {
		TagNames []string `json:"tagNames"`
		Metrics  struct{} `json:"metrics"`
	}
	tagsV2Response struct {
		Scopes  []tagScope `json:"scopes"`
		Metrics struct{}   `json:"metrics"`
	}
	tagScope struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}
)

// tagsV1 answers /api/search/tags: names of all scopes in one list. It lists intrinsics only on request.
func (s *server) tagsV1(r *http.Request, o *out) error {
	scopes, err := s.tagNames(r, o)
	if err != nil {
		return err
	}
	names := []string{}
	for _, scope := range scopes {
		if scope.Scope != "intrinsic" || r.URL.Query().Get("scope") == "intrinsic" {
			names = append(names, scope.Tags...)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if wantsProtobuf(r) {
		return o.protoBody(tagsV1Proto(names))
	}
	o.contentType = typeJSON
	return o.json(tagsResponse{TagNames: names})
}

// tagsV2 answers /api/v2/search/tags: names by scope.
func (s *server) tagsV2(r *http.Request, o *out) error {
	scopes, err := s.tagNames(r, o)
	if err != nil {
		return err
	}
	if wantsProtobuf(r) {
		return o.protoBody(tagsV2Proto(scopes))
	}
	list := tagsV2Response{Scopes: make([]tagScope, len(scopes))}
	for i, scope := range scopes {
		list.Scopes[i] = tagScope{scope.Scope, scope.Tags}
	}
	o.contentType = typeJSON
	return o.json(list)
}

func (s *server) tagNames(r *http.Request, o *out) ([]query.ScopeTags, error) {
	req, err := tagRequest(r.URL.Query(), time.Now())
	if err != nil {
		return nil, err
	}
	ctx, err := o.begin(r.Context())
	if err != nil {
		return nil, err
	}
	return s.Engine.TagNames(ctx, req)
}

func tagRequest(v url.Values, now time.Time) (req query.TagRequest, err error) {
	req.Scope, req.Query = v.Get("scope"), v.Get("q")
	if req.Start, req.End, err = window(v, false, now); err != nil {
		return req, err
	}
	limit, err := uintParam(v, "limit")
	if err != nil {
		return req, err
	}
	stale, err := uintParam(v, "maxStaleValues")
	req.Limit, req.MaxStale = int(limit), int(stale)
	return req, err
}

// The paths before {tag}/values. A tag may contain a slash, so the routes match everything that follows.
const (
	valuesV1Path = "/api/search/tag/"
	valuesV2Path = "/api/v2/search/tag/"
)

type (
	valuesResponse struct {
		TagValues []string `json:"tagValues"`
		Metrics   struct{} `json:"metrics"`
	}
	valuesV2Response struct {
		TagValues []tagValue `json:"tagValues"`
		Metrics   struct{}   `json:"metrics"`
	}
	tagValue struct {
		Type  string `json:"type,omitempty"`
		Value string `json:"value,omitempty"`
	}
)

// valuesV1 answers /api/search/tag/{tag}/values: values as texts; the tag has no scope.
func (s *server) valuesV1(r *http.Request, o *out) error {
	tag, req, err := valuesRequest(r, valuesV1Path)
	if err != nil {
		return err
	}
	if tag == "" {
		o.status = http.StatusNotFound
		return nil
	}
	ctx, err := o.begin(r.Context())
	if err != nil {
		return err
	}
	values, err := s.Engine.TagTexts(ctx, tag, req)
	if err != nil {
		return err
	}
	if wantsProtobuf(r) {
		return o.protoBody(valuesV1Proto(values))
	}
	o.contentType = typeJSON
	return o.json(valuesResponse{TagValues: append([]string{}, values...)})
}

// valuesV2 answers /api/v2/search/tag/{tag}/values: values with their types; the tag has the form that queries
// use.
func (s *server) valuesV2(r *http.Request, o *out) error {
	tag, req, err := valuesRequest(r, valuesV2Path)
	if err != nil {
		return err
	}
	if tag == "" {
		o.status = http.StatusNotFound
		return nil
	}
	ctx, err := o.begin(r.Context())
	if err != nil {
		return err
	}
	values, err := s.Engine.TagValues(ctx, tag, req)
	if err != nil {
		return err
	}
	if wantsProtobuf(r) {
		return o.protoBody(valuesV2Proto(values))
	}
	if wantsLLM(r) {
		return o.valuesLLM(values)
	}
	list := valuesV2Response{TagValues: make([]tagValue, len(values))}
	for i, v := range values {
		list.TagValues[i] = tagValue(v)
	}
	o.contentType = typeJSON
	return o.json(list)
}

// valuesRequest takes the tag from the path. It returns "" for other paths.
func valuesRequest(r *http.Request, prefix string) (tag string, req query.TagRequest, err error) {
	rest, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.EscapedPath(), prefix), "/values")
	if !ok {
		return "", req, nil
	}
	if tag, err = url.PathUnescape(rest); err != nil {
		return "", req, badRequest("invalid tag in the path: %w", err)
	}
	req, err = tagRequest(r.URL.Query(), time.Now())
	return tag, req, err
}
