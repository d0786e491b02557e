package edge

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"
)

// idGenerator makes ids as Jaeger's clients do: a trace id of 64 bits unless
// wide, and a root span whose id is the low half of its trace's id.
type idGenerator struct{ wide bool }

func (g idGenerator) NewIDs(context.Context) (trace.TraceID, trace.SpanID) {
	var t trace.TraceID
	var s trace.SpanID
	low := randomID()
	binary.BigEndian.PutUint64(t[8:], low)
	binary.BigEndian.PutUint64(s[:], low)
	if g.wide {
		binary.BigEndian.PutUint64(t[:8], randomID())
	}
	return t, s
}

func (g idGenerator) NewSpanID(context.Context, trace.TraceID) trace.SpanID {
	var s trace.SpanID
	binary.BigEndian.PutUint64(s[:], randomID())
	return s
}

// randomID is never 0, which means no id.
func randomID() uint64 {
	for {
		if id := rand.Uint64(); id != 0 {
			return id
		}
	}
}
