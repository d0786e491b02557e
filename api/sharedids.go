package api

import (
	"encoding/binary"
	"slices"

	"etude/internal/wire"
	"etude/otlp"
	"etude/trace"
)

// Zipkin gives both ends of a call the same span id: a CLIENT and a SERVER span share it. Viewers require
// unique ids. So, as Tempo does, the server span gets a fresh id, counted from 1, the shared id becomes its
// parent, and the spans below the call move under the server span.

// freshIDs returns the new id of the server span for each shared id. It returns nil in the usual case that no
// id is shared.
func freshIDs(spans []otlp.Ref) map[trace.SpanID]trace.SpanID {
	shared := sharedIDs(spans)
	if len(shared) == 0 { // Fast path: nearly every trace.
		return nil
	}
	clients := map[trace.SpanID]bool{}
	taken := make(map[trace.SpanID]bool, len(spans))
	for _, r := range spans {
		id := r.View.SpanID[r.Row]
		taken[id] = true
		if shared[id] && trace.Kind(r.View.Kind[r.Row]) == trace.KindClient {
			clients[id] = true
		}
	}
	var fresh map[trace.SpanID]trace.SpanID
	next := uint64(0)
	for _, r := range spans {
		id := r.View.SpanID[r.Row]
		if _, known := fresh[id]; known || !clients[id] || trace.Kind(r.View.Kind[r.Row]) != trace.KindServer {
			continue
		}
		if fresh == nil {
			fresh = map[trace.SpanID]trace.SpanID{}
		}
		var unused trace.SpanID
		for next++; ; next++ {
			binary.BigEndian.PutUint64(unused[:], next)
			if !taken[unused] {
				break
			}
		}
		fresh[id] = unused
	}
	return fresh
}

// sharedIDs returns the ids that several spans have. Sorting takes eight bytes a span; a set would take fifty.
func sharedIDs(spans []otlp.Ref) map[trace.SpanID]bool {
	ids := make([]uint64, len(spans))
	for i, r := range spans {
		ids[i] = binary.BigEndian.Uint64(r.View.SpanID[r.Row][:])
	}
	slices.Sort(ids)
	var shared map[trace.SpanID]bool
	for i := 1; i < len(ids); i++ {
		if ids[i] != ids[i-1] {
			continue
		}
		if shared == nil {
			shared = map[trace.SpanID]bool{}
		}
		var id trace.SpanID
		binary.BigEndian.PutUint64(id[:], ids[i])
		shared[id] = true
	}
	return shared
}

// Field numbers of a span.
const (
	fieldSpanID = 2
	fieldParent = 4
	fieldKind   = 6
)

// rewriteSpan changes an encoded span.
func rewriteSpan(span []byte, fresh map[trace.SpanID]trace.SpanID) []byte {
	id, parent, kind := idsOf(span)
	own, shared := fresh[id]
	switch below, moves := fresh[parent]; {
	case shared && kind == trace.KindServer:
		id, parent = own, id
	case moves:
		parent = below
	default:
		return span
	}
	var out wire.Builder
	out.Bytes(fieldSpanID, id[:])
	out.Bytes(fieldParent, parent[:])
	in := wire.Reader{Rest: span}
	for field := in.Rest; in.Next(); field = in.Rest {
		if in.Number != fieldSpanID && in.Number != fieldParent {
			out.B = append(out.B, field[:len(field)-len(in.Rest)]...)
		}
	}
	return out.B
}

func idsOf(span []byte) (id, parent trace.SpanID, kind trace.Kind) {
	in := wire.Reader{Rest: span}
	for in.Next() {
		switch {
		case in.IsBytes(fieldSpanID):
			copy(id[:], in.Data)
		case in.IsBytes(fieldParent):
			copy(parent[:], in.Data)
		case in.IsVarint(fieldKind):
			kind = trace.Kind(in.Value)
		}
	}
	return id, parent, kind
}
