package store_test

import (
	"fmt"
	"strings"
	"testing"

	"etude/internal/fs"
	"etude/otlp"
	"etude/store"
	"etude/trace"
)

// heavy is a request with a span that goes past any limit below.
func heavy(number, attributes int) []byte {
	id := traceID(number)
	span := bytesField(bytesField(nil, 1, id[:]), 2, spanID(number, 1))
	for i := range attributes {
		span = bytesField(span, 9, attribute(fmt.Sprint("key-", i), "value"))
	}
	span = bytesField(span, 9, attribute("long", strings.Repeat("x", 5000)))
	for range attributes {
		span = bytesField(bytesField(span, 11, bytesField(nil, 2, []byte("event"))), 13, bytesField(nil, 3, []byte("state=1")))
	}
	return bytesField(nil, 1, bytesField(nil, 2, bytesField(nil, 2, span)))
}

// TestLimitsHoldForOldLogs writes a log without limits and reads it back with
// some: it must come to what comes of the same spans under the limits at once.
func TestLimitsHoldForOldLogs(t *testing.T) {
	t.Parallel()
	limits := store.Limits{Attributes: 20, AttributeBytes: 2000, Events: 3, Links: 4, Columns: 10}
	old, fresh := fs.NewMem(), fs.NewMem()
	fill := func(o store.Options) *store.Store {
		s := mustOpen(t, o)
		for i := range 5 {
			if rejected, err := s.Append(t.Context(), heavy(i, 10*i)); err != nil || rejected.Spans > 0 {
				t.Fatal(rejected, err)
			}
		}
		return s
	}
	s := fill(store.Options{FS: old, Limits: &store.Limits{}})
	if lost := s.Stats().Lost; lost != (trace.Losses{}) {
		t.Errorf("without limits %+v is lost", lost)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, store.Options{FS: old, Limits: &limits})
	defer s.Close()
	now := fill(store.Options{FS: fresh, Limits: &limits})
	defer now.Close()
	if got, want := answerOf(s), answerOf(now); got != want {
		t.Errorf("replayed %d bytes, want %d", len(got), len(want))
	}
	// Spans 2, 3 and 4 have 21, 31 and 41 attributes, the last of them too long; span
	// 1 has 11.
	want := trace.Losses{Attributes: 1 + 11 + 21, Events: 7 + 17 + 27 + 37, Links: 6 + 16 + 26 + 36, Cut: 2, SharedColumns: 11}
	if lost := now.Stats().Lost; lost != want {
		t.Errorf("lost %+v, want %+v", lost, want)
	}
}

func answerOf(s *store.Store) string {
	var refs []otlp.Ref
	for _, v := range s.Tables() {
		for row := range uint32(v.Spans()) {
			refs = append(refs, otlp.Ref{View: v, Row: row})
		}
	}
	return string(otlp.AppendTraces(nil, refs))
}
