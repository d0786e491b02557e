package store_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"etude/otlp"
	"etude/store"
	"etude/trace"

	"google.golang.org/protobuf/encoding/protowire"
)

func bytesField(b []byte, number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), content)
}

func traceID(number int) (id trace.TraceID) {
	id[0] = 1
	binary.BigEndian.PutUint64(id[8:], uint64(number))
	return id
}

func attribute(key, value string) []byte {
	kv := bytesField(nil, 1, []byte(key))
	return bytesField(kv, 2, bytesField(nil, 1, []byte(value)))
}

func spanID(trace, number int) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(trace)<<20|uint64(number))
}

// payload is an OTLP request: one trace, by its number, with some spans of it.
func payload(number, spans int) []byte { return laterSpans(number, 0, spans) }

// laterSpans is a request with some spans of a trace, from the one of a number on.
func laterSpans(number, from, spans int) []byte {
	id := traceID(number)
	var scope []byte
	for i := from; i < from+spans; i++ {
		span := bytesField(nil, 1, id[:])
		span = bytesField(span, 2, spanID(number, i+1))
		span = bytesField(span, 5, fmt.Appendf(nil, "operation %d", i%17))
		span = protowire.AppendVarint(protowire.AppendTag(span, 6, protowire.VarintType), 2)
		start := uint64(1700000000000000000 + number)
		span = protowire.AppendFixed64(protowire.AppendTag(span, 7, protowire.Fixed64Type), start)
		span = protowire.AppendFixed64(protowire.AppendTag(span, 8, protowire.Fixed64Type), start+uint64(i)*1000)
		for _, a := range [][2]string{{"http.request.method", "GET"}, {"url.path", fmt.Sprintf("/item/%d", (number*31+i)%1000)},
			{"server.address", "uservice3.example"}, {"http.response.status_code", "200"}, {"user.id", fmt.Sprint("user-", number%500)}} {
			span = bytesField(span, 9, attribute(a[0], a[1]))
		}
		scope = bytesField(scope, 2, span)
	}
	resource := bytesField(nil, 1, attribute("service.name", "shop"))
	rs := bytesField(bytesField(nil, 1, resource), 2, scope)
	return bytesField(nil, 1, rs)
}

// spansOf counts the spans of a trace over all Tables.
func spansOf(s *store.Store, number int) (n int) {
	for _, v := range s.Tables() {
		if t, ok := v.FindTrace(traceID(number)); ok {
			for range v.Rows(t) {
				n++
			}
		}
	}
	return n
}

func total(s *store.Store) (n int) {
	for _, v := range s.Tables() {
		n += v.Spans()
	}
	return n
}

func mustOpen(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = "data"
	}
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// result is the error of an Append.
func result(_ otlp.Rejected, err error) error { return err }

// traceNumberOf is the inverse of traceID.
func traceNumberOf(id trace.TraceID) int { return int(binary.BigEndian.Uint64(id[8:])) }
