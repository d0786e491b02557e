// Package spans writes OTLP spans for the translations from other protocols
// (receive/jaeger, receive/zipkin): the fields and attributes of a span, the
// resources and scopes around it, and the bounds of what one request may become.
//
// It appends bytes (opentelemetry-proto, trace/v1) and makes no objects.
package spans

import "fmt"

// Bounds are what one request of another protocol may become: a few bytes of a
// hostile one can ask for many.
type Bounds struct {
	// Spans is the most spans in the request; 0: any number.
	Spans int
	// Grow is told, span by span, how many bytes of OTLP there are so far. Its error
	// ends the translation and is returned as it is. nil: any number of bytes.
	Grow func(bytes int) error
}

// TooMany is the error for more spans than [Bounds] allow.
type TooMany struct{ Limit int }

func (e TooMany) Error() string {
	return fmt.Sprintf("batch has more than the limit of %d spans; send smaller batches", e.Limit)
}

// Room returns an error when there may be no span more than the n before.
func (b Bounds) Room(n int) error {
	if b.Spans > 0 && n >= b.Spans {
		return TooMany{b.Spans}
	}
	return nil
}

// Grown is Grow, if there is one.
func (b Bounds) Grown(bytes int) error {
	if b.Grow == nil {
		return nil
	}
	return b.Grow(bytes)
}
