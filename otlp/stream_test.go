package otlp_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"etude/otlp"
	"etude/trace"
)

// manyGroups returns spans of some resources and scopes, mixed, in two Views.
func manyGroups(n int) []otlp.Ref {
	var spans []otlp.Ref
	for part := range 2 {
		t := trace.NewTable()
		text := func(s string) uint32 { return t.Code([]byte(s)) }
		var scopes []uint32
		for r := range 3 {
			url := uint32(0)
			if r == 1 {
				url = text("https://resource")
			}
			resource, w := t.AddResource([]byte{byte(r)}, url, uint32(r), 0)
			for k := range r {
				w.AddText(fmt.Appendf(nil, "k%d", k), trace.String, []byte(`v"<&>`))
			}
			t.EndResource()
			for s := range 2 {
				name, url := uint32(0), uint32(0)
				if s == 1 {
					name, url = text("lib"), text("https://scope")
				}
				scope, _ := t.AddScope([]byte{byte(r), byte(s)}, resource, name, name, url, uint32(s))
				t.EndScope()
				scopes = append(scopes, scope)
			}
		}
		for i := range n / 2 {
			row := trace.Span{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{byte(part + 1), byte(i >> 8), byte(i), 1}, Start: uint64(i), End: uint64(i * 2),
				Kind: uint8(i % 6), Status: uint8(i % 3), Scope: scopes[i*7%len(scopes)], Name: fmt.Appendf(nil, "name \u2028 %d", i)}
			w := t.AddSpan(&row)
			w.AddText([]byte("text"), trace.String, bytes.Repeat([]byte("é"), i%90))
			t.EndSpan()
		}
		v := t.View()
		for row := range v.Spans() {
			spans = append(spans, otlp.Ref{View: v, Row: uint32(row)})
		}
	}
	return spans
}

// sent is a Stream that forgets what it has been given once it is more than a
// little, and what it has been given.
func sent(all *[]byte) otlp.Stream {
	return otlp.Stream{Step: func(b []byte) ([]byte, error) {
		if len(b) > 1000 {
			*all = append(*all, b...)
			b = b[:0]
		}
		return b, nil
	}}
}

// TestStreamIsTheSame writes spans one by one, and compares with the whole.
func TestStreamIsTheSame(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 2, 4, 500} {
		spans := manyGroups(n)
		whole := otlp.AppendTraces(nil, spans)
		for _, d := range []otlp.Dialect{otlp.TempoJSON, otlp.TempoBatches, otlp.OTLPJSON} {
			var got []byte
			rest, err := sent(&got).JSON(nil, spans, d)
			if got = append(got, rest...); err != nil || string(got) != string(otlp.ToJSON(nil, whole, d)) {
				t.Errorf("%d spans, %+v: %v\n%s\nwant\n%s", n, d, err, got, otlp.ToJSON(nil, whole, d))
			}
		}
		var got []byte
		s := sent(&got)
		arranged, err := s.Arrange(spans)
		if err != nil || arranged.Size != len(whole) {
			t.Fatalf("%d spans: size %d, %v; want %d", n, arranged.Size, err, len(whole))
		}
		rest, err := arranged.Proto(nil)
		if got = append(got, rest...); err != nil || !bytes.Equal(got, whole) {
			t.Errorf("%d spans: %d bytes, %v; want the %d of the whole", n, len(got), err, len(whole))
		}
		if small, err := s.Small(spans, len(whole)); err != nil || !bytes.Equal(small, whole) {
			t.Errorf("%d spans: in one piece %d bytes, %v; want the %d of the whole", n, len(small), err, len(whole))
		}
		if small, err := s.Small(spans, len(whole)/2); n > 4 && (err != nil || small != nil) {
			t.Errorf("%d spans: %d bytes, %v, where half as many are allowed", n, len(small), err)
		}
	}
}

// TestStreamStops has a Step fail after some spans: none is encoded any more.
func TestStreamStops(t *testing.T) {
	t.Parallel()
	spans, gone := manyGroups(500), errors.New("gone")
	steps := 0
	s := otlp.Stream{Step: func(b []byte) ([]byte, error) {
		if steps++; steps == 7 {
			return nil, gone
		}
		return b[:0], nil
	}}
	for name, f := range map[string]func() error{
		"JSON":    func() error { _, err := s.JSON(nil, spans, otlp.TempoJSON); return err },
		"Arrange": func() error { _, err := s.Arrange(spans); return err },
		"Small":   func() error { _, err := s.Small(spans, 1<<20); return err },
	} {
		steps = 0
		if err := f(); !errors.Is(err, gone) || steps != 7 {
			t.Errorf("%s: %v after %d steps", name, err, steps)
		}
	}
}
