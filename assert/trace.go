package assert

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Source answers queries about the spans received so far.
type Source interface {
	// Search returns the traces in which a TraceQL query matches spans.
	Search(ctx context.Context, query string) ([]Match, error)
	// Trace returns all received spans of a trace.
	Trace(ctx context.Context, id string) (*Trace, error)
}

// Match is one trace of a search.
type Match struct {
	TraceID string
	Spans   int      // number of spans that the query matched
	SpanIDs []string // some of their ids, in hex
}

// Trace is the spans of one trace, sorted by start.
type Trace struct {
	ID    string
	Spans []*Span
	byID  map[string]*Span
}

// Span is one span. Values of attributes are text: strings are unchanged, numbers are decimal, lists have the
// form [a, b].
type Span struct {
	ID, Parent           string // hex; Parent is "" for a root
	Service, Scope, Name string
	Kind                 string // one of internal, server, client, producer, consumer, unspecified
	Status, Message      string // unset, ok or error
	Start, End           uint64 // unix nanoseconds
	Attributes, Resource map[string]string
	Events               []Event
	Links                []Link
}

// Event is an event of a span.
type Event struct {
	Name       string
	Time       uint64 // unix nanoseconds
	Attributes map[string]string
}

// Link is a link to a span, usually of another trace.
type Link struct{ TraceID, SpanID string }

// NewTrace returns a Trace with its spans sorted.
func NewTrace(id string, spans []*Span) *Trace {
	t := &Trace{ID: id, Spans: spans, byID: make(map[string]*Span, len(spans))}
	slices.SortStableFunc(spans, func(a, b *Span) int {
		switch {
		case a.Start < b.Start:
			return -1
		case a.Start > b.Start:
			return 1
		}
		return 0
	})
	for _, s := range spans {
		t.byID[s.ID] = s
	}
	return t
}

// Duration is the time from the first start to the last end.
func (t *Trace) Duration() time.Duration {
	if len(t.Spans) == 0 {
		return 0
	}
	last := t.Spans[0].End
	for _, s := range t.Spans {
		last = max(last, s.End)
	}
	return time.Duration(last - t.Spans[0].Start)
}

// ParentOf returns a span's parent, or nil when the trace does not have it.
func (t *Trace) ParentOf(s *Span) *Span {
	if s.Parent == "" {
		return nil
	}
	return t.byID[s.Parent]
}

// above reports whether one of the spans is an ancestor of s. It ends even if parent ids form a cycle.
func (t *Trace) above(s *Span, spans []*Span) bool {
	for range t.Spans {
		if s = t.ParentOf(s); s == nil {
			return false
		}
		if slices.Contains(spans, s) {
			return true
		}
	}
	return false
}

// Duration is the time from start to end, or 0 when the end is before the start.
func (s *Span) Duration() time.Duration {
	if s.End < s.Start {
		return 0
	}
	return time.Duration(s.End - s.Start)
}

// String names the span by its service and its name.
func (s *Span) String() string {
	switch {
	case s.Service == "":
		return s.Name
	case s.Name == "":
		return s.Service + " (a span without a name)"
	}
	return s.Service + " " + s.Name
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
