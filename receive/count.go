package receive

import (
	"strings"

	"etude/internal/wire"
)

// Field numbers on the path to a span (opentelemetry-proto, trace/v1): TracesData.resource_spans,
// ResourceSpans.scope_spans, ScopeSpans.spans. Logs and metrics have the same numbers on the path to a log
// record or a metric.
const (
	fieldResources = 1
	fieldScopes    = 2
	fieldLeaves    = 2
)

// countSpans counts the spans of a payload without decoding them. It skips everything except the two levels
// above, so it costs a few nanoseconds per span. The Sink validates the contents of spans.
func countSpans(payload []byte) (int, error) { return countLeaves(payload, "spans") }

func countLeaves(payload []byte, what string) (n int, err error) {
	err = eachLeaf(payload, what, func([]byte) error { n++; return nil })
	return n, err
}

// countPoints counts the data points of metrics. A Metric has one of gauge 5, sum 7, histogram 9,
// exponential_histogram 10 and summary 11, each of which has its data_points in field 1.
func countPoints(payload []byte) (n int, err error) {
	err = eachLeaf(payload, "metrics", func(metric []byte) error {
		r := wire.Reader{Rest: metric}
		for r.Next() {
			switch r.Number {
			case 5, 7, 9, 10, 11:
				if r.Type != wire.Bytes {
					continue
				}
				if err := eachMessage(r.Data, 1, "metrics", "a metric", func([]byte) error { n++; return nil }); err != nil {
					return err
				}
			}
		}
		if r.Err != nil {
			return notOTLP("metrics", "a metric", r.Offset(metric), r.Err)
		}
		return nil
	})
	return n, err
}

func eachLeaf(payload []byte, what string, f func([]byte) error) error {
	return eachMessage(payload, fieldResources, what, "the request", func(resource []byte) error {
		return eachMessage(resource, fieldScopes, what, "resource_", func(scope []byte) error {
			return eachMessage(scope, fieldLeaves, what, "scope_", f)
		})
	})
}

// eachMessage calls f with each embedded message of the given field.
func eachMessage(b []byte, want wire.Number, what, where string, f func([]byte) error) error {
	r := wire.Reader{Rest: b}
	for r.Next() {
		if !r.IsBytes(want) {
			continue
		}
		if err := f(r.Data); err != nil {
			return err
		}
	}
	if r.Err != nil {
		return notOTLP(what, where, r.Offset(b), r.Err)
	}
	return nil
}

func notOTLP(what, where string, at int, err error) error {
	if strings.HasSuffix(where, "_") {
		where += what
	}
	if what == "spans" {
		what = "trace"
	}
	return refuse(malformed, "body is not an OTLP %s request: at byte %d of %s: %v", what, at, where, err)
}
