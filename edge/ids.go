package edge

import (
	"encoding/binary"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"
)

// newTraceID makes ids as Jaeger's clients do: a trace id of 64 bits unless wide,
// and a root span whose id is the low half of its trace's id.
func newTraceID(wide bool) (t trace.TraceID, root trace.SpanID) {
	root = newSpanID()
	copy(t[8:], root[:])
	if wide {
		binary.BigEndian.PutUint64(t[:8], randomID())
	}
	return t, root
}

func newSpanID() (s trace.SpanID) {
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
