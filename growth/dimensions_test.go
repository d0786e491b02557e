package growth

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// dimension is one thing that a sender can send more of. requests makes OTLP
// requests with n of it; n is how many there are at first.
type dimension struct {
	name     string
	n        int
	requests func(n int) [][]byte
}

// apart reports whether each request comes to a table of its own.
func (d *dimension) apart() bool { return strings.HasPrefix(d.name, "tables") }

// msg is an OTLP message being written.
type msg []byte

func (m msg) bytes(number protowire.Number, b []byte) msg {
	return protowire.AppendBytes(protowire.AppendTag(m, number, protowire.BytesType), b)
}

func (m msg) text(number protowire.Number, s string) msg { return m.bytes(number, []byte(s)) }

func (m msg) num(number protowire.Number, v uint64) msg {
	return protowire.AppendVarint(protowire.AppendTag(m, number, protowire.VarintType), v)
}

func (m msg) fixed(number protowire.Number, v uint64) msg {
	return protowire.AppendFixed64(protowire.AppendTag(m, number, protowire.Fixed64Type), v)
}

func text(s string) msg { return msg(nil).text(1, s) }

func attr(key string, value msg) msg { return msg(nil).text(1, key).bytes(2, value) }

const start = 1_700_000_000_000_000_000

// span is a plain span, by its number in the trace; number 1 is the root.
func span(trace, number, parent int) msg {
	m := msg(nil).bytes(1, traceID(trace)).bytes(2, spanID(number))
	if parent > 0 {
		m = m.bytes(4, spanID(parent))
	}
	return m.text(5, "operation").num(6, 2).fixed(7, start+uint64(number)).fixed(8, start+uint64(number)+1000)
}

func traceID(n int) []byte { return binary.BigEndian.AppendUint64([]byte("trace id"), uint64(n)) }
func spanID(n int) []byte  { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// request puts spans into one scope of one resource.
func request(spans ...msg) []byte { return msg(nil).bytes(1, resourceSpans("shop", spans...)) }

func resourceSpans(service string, spans ...msg) msg {
	return msg(nil).bytes(1, msg(nil).bytes(1, attr("service.name", text(service)))).bytes(2, scopeSpans("scope", spans...))
}

func scopeSpans(name string, spans ...msg) msg {
	m := msg(nil).bytes(1, msg(nil).text(1, name))
	for _, s := range spans {
		m = m.bytes(2, s)
	}
	return m
}

// repeated makes one message with n fields.
func repeated(m msg, n int, field func(m msg, i int) msg) msg {
	for i := range n {
		m = field(m, i)
	}
	return m
}

// one makes a request of one span with n of something.
func one(field func(m msg, i int) msg) func(n int) [][]byte {
	return func(n int) [][]byte { return [][]byte{request(repeated(span(1, 1, 0), n, field))} }
}

// many makes requests of up to 1,000 spans that have n in all.
func many(make func(i int) msg) func(n int) [][]byte {
	return func(n int) (out [][]byte) {
		var spans []msg
		for i := range n {
			if spans = append(spans, make(i)); len(spans) == 1000 || i == n-1 {
				out, spans = append(out, request(spans...)), nil
			}
		}
		return out
	}
}

func key(i int) string { return fmt.Sprint("key-", i) }

var dimensions = []dimension{
	{"attributes of a span", 250, one(func(m msg, i int) msg { return m.bytes(9, attr(key(i), text("value"))) })},
	{"attributes of a span with one key", 250, one(func(m msg, i int) msg { return m.bytes(9, attr("key-0", text(key(i)))) })},
	{"attributes of each of 50 spans", 10, func(n int) [][]byte {
		return many(func(i int) msg {
			return repeated(span(1, i+1, i/2), n, func(m msg, k int) msg { return m.bytes(9, attr(key(k), text("value"))) })
		})(50)
	}},
	{"spans with a key of their own", 250, many(func(i int) msg { return span(1, i+1, i/2).bytes(9, attr(key(i), text("value"))) })},
	{"spans with a value of their own", 250, many(func(i int) msg { return span(1, i+1, i/2).bytes(9, attr("key-0", text(key(i)))) })},
	{"spans with a key and a value of their own", 250, many(func(i int) msg { return span(1, i+1, i/2).bytes(9, attr(key(i), text(key(i)))) })},
	{"spans with a name of their own", 250, many(func(i int) msg { return span(1, i+1, i/2).text(5, key(i)) })},
	{"spans with two of a hundred keys", 250, many(func(i int) msg {
		return span(1, i+1, i/2).bytes(9, attr(key(i%100), text("value"))).bytes(9, attr(key(i*7%100), text("value")))
	})},
	{"spans below one span", 250, many(func(i int) msg { return span(1, i+1, min(i, 1)) })},
	{"spans below each other", 250, many(func(i int) msg { return span(1, i+1, i) })},
	{"spans with one id", 250, many(func(i int) msg { return span(1, 1, 0).fixed(7, start+uint64(i)) })},
	{"spans whose parents share an id", 250, many(func(i int) msg {
		if i%2 == 0 {
			return span(1, 1, 0).fixed(7, start+uint64(i))
		}
		return span(1, i+2, 1)
	})},
	{"pairs of spans that share an id", 250, many(func(i int) msg { return span(1, i/2+1, i/4).num(6, uint64(2+i%2)) })},
	{"spans sent twice", 250, many(func(i int) msg { return span(1, i/2+1, 0).fixed(7, start) })},
	{"spans that are rejected", 250, many(func(i int) msg { return msg(nil).bytes(1, traceID(1)).text(5, key(i)) })},
	{"spans whose text is not UTF-8", 250, many(func(i int) msg { return span(1, i+1, 0).text(5, "\xff"+key(i)) })},
	{"traces", 250, many(func(i int) msg { return span(i+1, 1, 0) })},
	{"traces that call", 250, many(func(i int) msg { return span(i/2+1, i%2+1, i%2).num(6, uint64(3-i%2)) })},
	{"events", 250, one(func(m msg, i int) msg { return m.bytes(11, msg(nil).text(2, "event")) })},
	{"events with a key of their own", 250, one(func(m msg, i int) msg {
		return m.bytes(11, msg(nil).text(2, key(i)).bytes(3, attr(key(i), text("value"))))
	})},
	{"attributes of an event", 250, attributesOf(11, 3)},
	{"links", 250, one(func(m msg, i int) msg { return m.bytes(13, msg(nil).bytes(1, traceID(1)).bytes(2, spanID(i+1))) })},
	{"attributes of a link", 250, attributesOf(13, 4)},
	{"services", 250, func(n int) [][]byte {
		return [][]byte{repeated(nil, n, func(m msg, i int) msg { return m.bytes(1, resourceSpans(key(i), span(1, i+1, i/2))) })}
	}},
	{"services of traces", 250, func(n int) [][]byte {
		return [][]byte{repeated(nil, n, func(m msg, i int) msg { return m.bytes(1, resourceSpans(key(i), span(i+1, 1, 0))) })}
	}},
	{"scopes", 250, func(n int) [][]byte {
		return [][]byte{msg(nil).bytes(1, repeated(nil, n, func(m msg, i int) msg { return m.bytes(2, scopeSpans(key(i), span(1, i+1, i/2))) }))}
	}},
	{"attributes of a resource", 250, func(n int) [][]byte {
		res := repeated(nil, n, func(m msg, i int) msg { return m.bytes(1, attr(key(i), text("value"))) })
		return [][]byte{msg(nil).bytes(1, msg(nil).bytes(1, res).bytes(2, scopeSpans("scope", span(1, 1, 0))))}
	}},
	{"attributes of a scope", 250, func(n int) [][]byte {
		sc := repeated(nil, n, func(m msg, i int) msg { return m.bytes(3, attr(key(i), text("value"))) })
		return [][]byte{msg(nil).bytes(1, msg(nil).bytes(2, msg(nil).bytes(1, sc).bytes(2, span(1, 1, 0))))}
	}},
	{"parts of a resource", 250, func(n int) [][]byte {
		rs := repeated(nil, n, func(m msg, i int) msg { return m.bytes(1, msg(nil).bytes(1, attr(key(i), text("value")))) })
		return [][]byte{msg(nil).bytes(1, rs.bytes(2, scopeSpans("scope", span(1, 1, 0))))}
	}},
	{"parts of a status", 250, one(func(m msg, i int) msg { return m.bytes(15, msg(nil).text(2, key(i))) })},
	{"parts of a value", 250, func(n int) [][]byte {
		kv := repeated(msg(nil).text(1, "key-0"), n, func(m msg, i int) msg { return m.bytes(2, msg(nil).bytes(5, msg(nil).bytes(1, text(key(i))))) })
		return [][]byte{request(span(1, 1, 0).bytes(9, kv))}
	}},
	{"elements of an array", 250, func(n int) [][]byte {
		list := repeated(nil, n, func(m msg, i int) msg { return m.bytes(1, text(key(i))) })
		return [][]byte{request(span(1, 1, 0).bytes(9, attr("key-0", msg(nil).bytes(5, list))))}
	}},
	{"entries of a kvlist", 250, func(n int) [][]byte {
		list := repeated(nil, n, func(m msg, i int) msg { return m.bytes(1, attr(key(i), text("value"))) })
		return [][]byte{request(span(1, 1, 0).bytes(9, attr("key-0", msg(nil).bytes(6, list))))}
	}},
	{"arrays in each other", 12, nested(func(v msg) msg { return msg(nil).bytes(5, msg(nil).bytes(1, v)) })},
	{"kvlists in each other", 12, nested(func(v msg) msg { return msg(nil).bytes(6, msg(nil).bytes(1, attr("key", v))) })},
	{"bytes of a value", 3000, func(n int) [][]byte {
		return [][]byte{request(span(1, 1, 0).bytes(9, attr("key-0", text(strings.Repeat("x", n)))))}
	}},
	{"bytes of a key", 3000, func(n int) [][]byte {
		return [][]byte{request(span(1, 1, 0).bytes(9, attr(strings.Repeat("x", n), text("value"))))}
	}},
	{"bytes of a name", 3000, func(n int) [][]byte { return [][]byte{request(span(1, 1, 0).text(5, strings.Repeat("x", n)))} }},
	{"fields that OTLP does not know", 250, one(func(m msg, i int) msg { return m.num(100, uint64(i)) })},
	{"tables", 8, func(n int) [][]byte { return many(func(i int) msg { return span(i+1, 1, 0) })(1000 * n) }},
	{"tables that share a trace", 8, func(n int) [][]byte {
		return many(func(i int) msg { return span(1, i+1, i/2) })(1000 * n)
	}},
	{"tables that share traces", 8, func(n int) [][]byte {
		return many(func(i int) msg { return span(i%500+1, i/500+1, i/1000) })(1000 * n)
	}},
	{"tables with keys of their own", 8, func(n int) [][]byte {
		return many(func(i int) msg { return span(i+1, 1, 0).bytes(9, attr(key(i), text("value"))) })(1000 * n)
	}},
	{"requests", 100, func(n int) (out [][]byte) {
		for i := range n {
			out = append(out, request(span(i+1, 1, 0)))
		}
		return out
	}},
}

// attributesOf gives one child of a span n attributes.
func attributesOf(child, number protowire.Number) func(n int) [][]byte {
	return func(n int) [][]byte {
		m := repeated(nil, n, func(m msg, i int) msg { return m.bytes(number, attr(key(i), text("value"))) })
		return [][]byte{request(span(1, 1, 0).bytes(child, m))}
	}
}

// nested puts n values into each other, in 50 spans.
func nested(in func(msg) msg) func(n int) [][]byte {
	return func(n int) [][]byte {
		return many(func(i int) msg {
			v := text(string(bytes.Repeat([]byte("x"), i)))
			for range n {
				v = in(v)
			}
			return span(1, i+1, 0).bytes(9, attr("key-0", v))
		})(50)
	}
}
