package api

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"etude/query"
)

// The paths in front of {tag}/values. A tag may hold a slash, so the routes take
// all that follows.
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

// valuesV1 answers /api/search/tag/{tag}/values: texts, the tag without scope.
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

// valuesV2 answers /api/v2/search/tag/{tag}/values: values with their types, the
// tag as a query writes it.
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

// valuesRequest takes the tag from the path; "" when the path has another form.
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
