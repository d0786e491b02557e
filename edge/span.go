package edge

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// span is one ended span on its way into bytes. Each queue has one, which requests fill and encode under the
// queue's lock. So a request allocates no span.
type span struct {
	trace      trace.TraceID
	id, parent trace.SpanID
	remote     bool // the parent is a span of another process
	name       string
	kind       trace.SpanKind
	start      time.Time
	took       time.Duration
	failed     bool
	tags       [9]tag // in use: the first n
	n          int
	exception  *exception
	link       *spanContext // a related trace
}

// tag is an attribute. Its kind says which of the fields is its value.
type tag struct {
	key    string
	kind   tagKind
	text   string
	number int64 // a boolean is 0 or 1
}

type tagKind byte

const (
	textTag tagKind = iota
	numberTag
	boolTag
)

// exception is the reason of a failed forward. It becomes an event of the CLIENT span, as in OpenTelemetry's
// conventions.
type exception struct {
	at         time.Time
	kind, text string
}

func (s *span) text(key, value string) {
	s.tags[s.n] = tag{key: key, text: value}
	s.n++
}

func (s *span) boolean(key string, value bool) {
	s.tags[s.n] = tag{key: key, kind: boolTag}
	if value {
		s.tags[s.n].number = 1
	}
	s.n++
}

func (s *span) number(key string, value int64) {
	s.tags[s.n] = tag{key: key, kind: numberTag, number: value}
	s.n++
}

// exchange is one request on its way through the edge. It is also the request's
// context, so that the code that forwards the request can find it.
type exchange struct {
	context.Context
	answer  recorder
	target  url.URL // clean, see path.go
	route   *route  // nil if no rule matches the request
	queries bool    // rules have read the query
	start   time.Time
	end     time.Time
	status  int // of the answer, for spans and statistics

	// Of the CLIENT span; zero if the edge does not forward the request.
	forwardStart, forwardEnd time.Time
	failure                  *exception

	traced    bool // the fields below are set
	received       // the trace; its span is the caller's span
	entry     trace.SpanID
	forward   trace.SpanID
	out       outgoing
	entryName string
}

type exchangeKey struct{}

// Value makes the exchange its own context value, which saves an allocation.
func (x *exchange) Value(key any) any {
	if _, ok := key.(exchangeKey); ok {
		return x
	}
	return x.Context.Value(key)
}

// exchangeOf returns the exchange of a request that came in through ServeHTTP.
func exchangeOf(r *http.Request) *exchange {
	x, _ := r.Context().Value(exchangeKey{}).(*exchange)
	return x
}
