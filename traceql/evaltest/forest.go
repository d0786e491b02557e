// Package evaltest has the shared parts of the tests of eval and metrics: traces as text, and a
// context that counts how often it is polled.
package evaltest

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/trace"
)

// Forest builds tables from the text form of traces and spreads the spans of each
// trace over them in order.
//
// A line "trace x" begins a trace with the id ...x. A span is a line with its children
// indented below: name, service, kind, status, start and duration, then attributes
// key=value, of the resource with r:, of the scope with i:, events
// @name+offset(key=value,...) and links ^span(key=value,...). Its id is [SpanID] of the
// number of its line. A name with ? has a parent that is not there.
func Forest(t testing.TB, text string, tables int) []*trace.View {
	all := make([]*trace.Table, tables)
	for i := range all {
		all[i] = trace.NewTable()
	}
	for _, lines := range tracesOf(text) {
		var parents []trace.SpanID // by depth
		for i, line := range lines.spans {
			fields := strings.Fields(line)
			depth := (len(line) - len(strings.TrimLeft(line, " "))) / 2
			parents = append(parents[:depth-1], SpanID(lines.first+i))
			s := trace.Span{TraceID: trace.TraceID{15: lines.name}, SpanID: SpanID(lines.first + i)}
			if depth > 1 {
				s.Parent = parents[depth-2]
			}
			AddSpan(t, all[i*tables/len(lines.spans)], s, fields)
		}
	}
	views := make([]*trace.View, tables)
	for i, table := range all {
		views[i] = table.View()
	}
	return views
}

type traceText struct {
	name  byte
	first int // line number
	spans []string
}

func tracesOf(text string) (out []traceText) {
	n := 0
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		n++
		switch {
		case strings.HasPrefix(line, "trace "):
			out = append(out, traceText{name: line[6], first: n + 1})
		case strings.TrimSpace(line) != "" && line[0] != '#':
			out[len(out)-1].spans = append(out[len(out)-1].spans, line)
		}
	}
	return out
}

// SpanID is the id of a span, by a number.
func SpanID(n int) (id trace.SpanID) {
	binary.BigEndian.PutUint64(id[:], uint64(n)<<8|0x11)
	return id
}

// Origin is the time from which starts count, in unix nanoseconds.
const Origin = uint64(1_700_000_000_000_000_000)

// AddSpan adds a span from the fields of its line, see Forest.
func AddSpan(t testing.TB, table *trace.Table, s trace.Span, f []string) {
	name := strings.TrimPrefix(f[0], "?")
	if name != f[0] {
		s.Parent = trace.SpanID{0xff}
	}
	kind := slices.Index([]string{"unspecified", "internal", "server", "client", "producer", "consumer"}, f[2])
	status := slices.Index([]string{"unset", "ok", "error"}, f[3])
	s.Name, s.Kind, s.Status = []byte(name), uint8(kind), uint8(status)
	s.Start = Origin + uint64(Duration(t, f[4]))
	s.End = s.Start + uint64(Duration(t, f[5]))
	resource, w := table.AddResource(s.SpanID[:], 0, 0, 0)
	if f[1] != "-" {
		addAttr(t, w, `service.name="`+f[1]+`"`)
	}
	addPrefixed(t, w, f[6:], "r:")
	table.EndResource()
	var sw *trace.AttrWriter
	s.Scope, sw = table.AddScope(s.SpanID[:], resource, table.Code([]byte("kettle")), 0, 0, 0)
	addPrefixed(t, sw, f[6:], "i:")
	table.EndScope()
	w = table.AddSpan(&s)
	for _, field := range f[6:] {
		if !strings.HasPrefix(field, "r:") && !strings.HasPrefix(field, "i:") && field[0] != '@' && field[0] != '^' {
			addAttr(t, w, field)
		}
	}
	for _, field := range f[6:] {
		addChild(t, table, s.Start, field)
	}
	table.EndSpan()
}

func addPrefixed(t testing.TB, w *trace.AttrWriter, fields []string, prefix string) {
	for _, field := range fields {
		if rest, ok := strings.CutPrefix(field, prefix); ok {
			addAttr(t, w, rest)
		}
	}
}

// addChild adds an event @name+offset(...) or a link ^line(...).
func addChild(t testing.TB, table *trace.Table, start uint64, field string) {
	if field[0] != '@' && field[0] != '^' {
		return
	}
	head, attrs, _ := strings.Cut(strings.TrimSuffix(field[1:], ")"), "(")
	var w *trace.AttrWriter
	if field[0] == '@' {
		name, offset, _ := strings.Cut(head, "+")
		w = table.AddEvent(start+uint64(Duration(t, offset)), []byte(name), 0)
		defer table.EndEvent()
	} else {
		line, err := strconv.Atoi(head)
		if err != nil {
			t.Fatal(err)
		}
		w = table.AddLink(&trace.Link{TraceID: trace.TraceID{15: 'z'}, SpanID: SpanID(line)})
		defer table.EndLink()
	}
	for _, a := range strings.FieldsFunc(attrs, func(r rune) bool { return r == ',' }) {
		addAttr(t, w, a)
	}
}

// Duration reads a duration.
func Duration(t testing.TB, s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func addAttr(t testing.TB, w *trace.AttrWriter, field string) {
	key, value, ok := strings.Cut(field, "=")
	if !ok {
		t.Fatalf("attribute %q has no =", field)
	}
	if inner, ok := strings.CutPrefix(value, "["); ok {
		var array []byte
		for _, e := range strings.FieldsFunc(strings.TrimSuffix(inner, "]"), func(r rune) bool { return r == ',' }) {
			array = protowire.AppendBytes(protowire.AppendTag(array, 1, protowire.BytesType), encodeScalar(e))
		}
		encoded := protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), array)
		w.AddText([]byte(key), trace.Array, encoded)
		return
	}
	if text, err := strconv.Unquote(value); err == nil {
		w.AddText([]byte(key), trace.String, []byte(text))
		return
	}
	w.AddNum([]byte(key), numberType(value), number(value))
}

// numberType and number read an int, a float or a bool.
func numberType(text string) trace.Type {
	if _, err := strconv.ParseInt(text, 10, 64); err == nil {
		return trace.Int
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return trace.Double
	}
	return trace.Bool
}

func number(text string) uint64 {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return uint64(n)
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return math.Float64bits(f)
	}
	if text == "true" {
		return 1
	}
	return 0
}

// encodeScalar writes a value as OTLP's AnyValue.
func encodeScalar(value string) []byte {
	if text, err := strconv.Unquote(value); err == nil {
		return protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), text)
	}
	switch n := number(value); numberType(value) {
	case trace.Double:
		return protowire.AppendFixed64(protowire.AppendTag(nil, 4, protowire.Fixed64Type), n)
	case trace.Bool:
		return protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), n)
	default:
		return protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), n)
	}
}
