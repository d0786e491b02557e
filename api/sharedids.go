package api

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/otlp"
	"etude/trace"
)

// Zipkin gives the two ends of a call one span id: a CLIENT and a SERVER span
// that share it. Viewers want ids of their own, so as Tempo does the server span
// gets a fresh one, counted from 1, the shared id becomes its parent, and the
// spans below the call move under the server span.

// freshIDs returns the new id of the server span for each shared id; nil when no
// id is shared, which is the rule.
func freshIDs(spans []otlp.Ref) map[trace.SpanID]trace.SpanID {
	clients := map[trace.SpanID]bool{}
	taken := map[trace.SpanID]bool{}
	for _, r := range spans {
		id := r.View.SpanID[r.Row]
		clients[id] = clients[id] || trace.Kind(r.View.Kind[r.Row]) == trace.KindClient
		taken[id] = true
	}
	if len(taken) == len(spans) {
		return nil
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

// Field numbers on the way from TracesData to a span (trace.proto): resource
// spans, their scope spans, their spans.
var spanPath = []protowire.Number{1, 2, 2}

// Field numbers of a span.
const (
	fieldSpanID = 2
	fieldParent = 4
	fieldKind   = 6
)

// withFreshIDs rewrites an encoded TracesData.
func withFreshIDs(traces []byte, fresh map[trace.SpanID]trace.SpanID) []byte {
	if len(fresh) == 0 {
		return traces
	}
	return rewrite(nil, traces, spanPath, fresh)
}

// rewrite copies a message and changes the spans at the end of the path.
func rewrite(dst, message []byte, path []protowire.Number, fresh map[trace.SpanID]trace.SpanID) []byte {
	for len(message) > 0 {
		num, typ, n := protowire.ConsumeTag(message)
		m := protowire.ConsumeFieldValue(num, typ, message[max(n, 0):])
		if n < 0 || m < 0 {
			return append(dst, message...) // not reached: we have encoded it ourselves
		}
		if num != path[0] || typ != protowire.BytesType {
			dst = append(dst, message[:n+m]...)
		} else {
			inner, _ := protowire.ConsumeBytes(message[n:])
			if len(path) == 1 {
				inner = rewriteSpan(inner, fresh)
			} else {
				inner = rewrite(nil, inner, path[1:], fresh)
			}
			dst = protowire.AppendTag(dst, num, typ)
			dst = protowire.AppendBytes(dst, inner)
		}
		message = message[n+m:]
	}
	return dst
}

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
	out := protowire.AppendBytes(protowire.AppendTag(nil, fieldSpanID, protowire.BytesType), id[:])
	out = protowire.AppendBytes(protowire.AppendTag(out, fieldParent, protowire.BytesType), parent[:])
	for len(span) > 0 {
		num, typ, n := protowire.ConsumeTag(span)
		m := protowire.ConsumeFieldValue(num, typ, span[max(n, 0):])
		if n < 0 || m < 0 {
			return out
		}
		if num != fieldSpanID && num != fieldParent {
			out = append(out, span[:n+m]...)
		}
		span = span[n+m:]
	}
	return out
}

func idsOf(span []byte) (id, parent trace.SpanID, kind trace.Kind) {
	for len(span) > 0 {
		num, typ, n := protowire.ConsumeTag(span)
		m := protowire.ConsumeFieldValue(num, typ, span[max(n, 0):])
		if n < 0 || m < 0 {
			break
		}
		switch num {
		case fieldSpanID:
			v, _ := protowire.ConsumeBytes(span[n:])
			copy(id[:], v)
		case fieldParent:
			v, _ := protowire.ConsumeBytes(span[n:])
			copy(parent[:], v)
		case fieldKind:
			v, _ := protowire.ConsumeVarint(span[n:])
			kind = trace.Kind(v)
		}
		span = span[n+m:]
	}
	return id, parent, kind
}
