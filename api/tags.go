package api

import (
	"net/http"
	"net/url"
	"slices"
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

// tagsV1 answers /api/search/tags: names of all scopes in one list. Intrinsics
// are listed only when asked for.
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
