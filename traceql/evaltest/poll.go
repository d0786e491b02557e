package evaltest

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync/atomic"

	"etude/trace"
)

// Polled is a context that counts how often it is polled, and that is done after Most
// times. Any goroutine may poll it.
type Polled struct {
	context.Context
	Most int

	polls atomic.Int64
}

// Err counts.
func (p *Polled) Err() error {
	if p.polls.Add(1) > int64(p.Most) {
		return context.Canceled
	}
	return nil
}

// Polls is how often it was polled.
func (p *Polled) Polls() int { return int(p.polls.Load()) }

// BigView holds one trace of n spans, in a tree eight wide, each with an event,
// a name of its own and a text.
func BigView(n, text int) *trace.View {
	t := trace.NewTable()
	resource, w := t.AddResource([]byte("r"), 0, 0, 0)
	w.AddText([]byte("service.name"), trace.String, []byte("shop"))
	t.EndResource()
	scope, _ := t.AddScope([]byte("s"), resource, 0, 0, 0, 0)
	t.EndScope()
	for i := range n {
		row := trace.Span{TraceID: trace.TraceID{15: 7}, Start: Origin + uint64(i), End: Origin + uint64(2*i), Scope: scope, Name: fmt.Appendf(nil, "work %d", i)}
		binary.BigEndian.PutUint64(row.SpanID[:], uint64(i+1))
		if i > 0 {
			binary.BigEndian.PutUint64(row.Parent[:], uint64(i/8+1))
		}
		w := t.AddSpan(&row)
		w.AddText([]byte("text"), trace.String, []byte(strings.Repeat("x", text)+fmt.Sprint(i)))
		w.AddNum([]byte("n"), trace.Int, uint64(i))
		t.EndSpan()
		t.AddEvent(Origin, []byte("e"), 0)
		t.EndEvent()
	}
	return t.View()
}
