package receive

import "google.golang.org/protobuf/encoding/protowire"

// Field numbers on the way down to a span (opentelemetry-proto, trace/v1):
// TracesData.resource_spans, ResourceSpans.scope_spans, ScopeSpans.spans.
const (
	fieldResourceSpans protowire.Number = 1
	fieldScopeSpans    protowire.Number = 2
	fieldSpans         protowire.Number = 2
)

// countSpans counts the spans of a payload without looking into them: it steps
// over everything but the two levels above, so its cost is a few nanoseconds a
// span. What is inside the spans is for the Sink to judge.
func countSpans(payload []byte) (int, error) {
	var n int
	err := eachMessage(payload, fieldResourceSpans, "the request", func(rs []byte) error {
		return eachMessage(rs, fieldScopeSpans, "resource_spans", func(ss []byte) error {
			return eachMessage(ss, fieldSpans, "scope_spans", func([]byte) error { n++; return nil })
		})
	})
	return n, err
}

// eachMessage calls f with each embedded message of the given field.
func eachMessage(b []byte, want protowire.Number, where string, f func([]byte) error) error {
	for off := 0; off < len(b); {
		num, typ, n := protowire.ConsumeTag(b[off:])
		if n < 0 {
			return notProtobuf(where, off, n)
		}
		off += n
		if num != want || typ != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(num, typ, b[off:]); n < 0 {
				return notProtobuf(where, off, n)
			}
			off += n
			continue
		}
		v, n := protowire.ConsumeBytes(b[off:])
		if n < 0 {
			return notProtobuf(where, off, n)
		}
		if err := f(v); err != nil {
			return err
		}
		off += n
	}
	return nil
}

func notProtobuf(where string, off, n int) error {
	return refuse(malformed, "body is not an OTLP trace request: at byte %d of %s: %v", off, where, protowire.ParseError(n))
}
