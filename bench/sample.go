package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Some queries need a value that exists on the server. Their placeholders are replaced by words of the newest
// trace.

// fillIn replaces the placeholders in queries, if any.
func fillIn(ctx context.Context, api *apiClient, queries []QueryResult) error {
	need := false
	for _, q := range queries {
		need = need || strings.Contains(q.Query, "$")
	}
	if !need {
		return nil
	}
	words, err := newestTrace(ctx, api)
	if err != nil {
		return fmt.Errorf("find a trace to query: %w", err)
	}
	for i, q := range queries {
		queries[i].Query = words.Replace(q.Query)
	}
	return nil
}

func newestTrace(ctx context.Context, api *apiClient) (*strings.Replacer, error) {
	var found struct{ Traces []struct{ TraceID string } }
	if err := api.read(ctx, "/api/search?q=%7B%7D&limit=1", &found); err != nil {
		return nil, err
	}
	if len(found.Traces) == 0 {
		return nil, errors.New("the server has none; send some with: etude bench ingest")
	}
	id := found.Traces[0].TraceID
	var answer struct{ Trace sampleTrace }
	if err := api.read(ctx, "/api/v2/traces/"+id, &answer); err != nil {
		return nil, err
	}
	service, name, value := answer.Trace.words()
	return strings.NewReplacer("$TRACE_ID", id, "$SERVICE", service, "$NAME", name, "$VALUE", value), nil
}

func (c *apiClient) read(ctx context.Context, path string, into any) error {
	status, body, err := c.get(ctx, path)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s: HTTP %d: %.200s", path, status, body)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// sampleTrace has the needed fields of a trace in OTLP/JSON.
type sampleTrace struct {
	ResourceSpans []struct {
		Resource   struct{ Attributes []sampleAttr }
		ScopeSpans []struct {
			Spans []struct {
				Name       string
				Attributes []sampleAttr
			}
		}
	}
}

type sampleAttr struct {
	Key   string
	Value struct{ StringValue string }
}

// words returns the service, the name and the rare value of one span.
func (t *sampleTrace) words() (service, name, value string) {
	for _, rs := range t.ResourceSpans {
		for _, a := range rs.Resource.Attributes {
			if a.Key == "service.name" {
				service = a.Value.StringValue
			}
		}
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				name = s.Name
				for _, a := range s.Attributes {
					if a.Key == valueKey {
						return service, name, a.Value.StringValue
					}
				}
			}
		}
	}
	return service, name, value
}
