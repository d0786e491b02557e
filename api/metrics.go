package api

import (
	"net/http"

	"etude/query"
)

// metrics answers /api/metrics/query_range and /api/metrics/query. Queries are
// checked; computing them is refused by name, so that nobody takes an empty
// answer for a result.
func (s *server) metrics(r *http.Request) (answer, error) {
	v := r.URL.Query()
	text := v.Get("q")
	if text == "" {
		text = v.Get("query")
	}
	q, err := query.Parse(text)
	if err != nil {
		return answer{}, err
	}
	if q.Metrics == nil {
		return answer{}, badRequest("not a metrics query")
	}
	return answer{}, unsupportedError("TraceQL metrics are not supported yet: " + q.Metrics.Func + "()")
}
