// Package spans writes OTLP spans for the translations from other protocols (receive/jaeger, receive/zipkin):
// the fields and attributes of a span, and the resources and scopes around it. It also has the limits for the
// translation of one request.
//
// It appends bytes (opentelemetry-proto, trace/v1) without intermediate objects.
package spans

import "fmt"

// Bounds limit the translation of one request of another protocol: a few hostile bytes could become many.
type Bounds struct {
	// Spans is the maximum number of spans in the request; 0 means no limit.
	Spans int
	// Grow is called after each span with the number of bytes of OTLP so far. Its error ends the translation,
	// which returns it unchanged. nil means no limit.
	Grow func(bytes int) error
}

// TooMany is the error for more spans than [Bounds] allow.
type TooMany struct{ Limit int }

func (e TooMany) Error() string {
	return fmt.Sprintf("batch has more than the limit of %d spans; send smaller batches", e.Limit)
}

// Room returns an error when no span may follow the first n.
func (b Bounds) Room(n int) error {
	if b.Spans > 0 && n >= b.Spans {
		return TooMany{b.Spans}
	}
	return nil
}

// Grown calls Grow, if set.
func (b Bounds) Grown(bytes int) error {
	if b.Grow == nil {
		return nil
	}
	return b.Grow(bytes)
}
