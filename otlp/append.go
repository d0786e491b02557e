package otlp

import (
	"encoding/binary"
	"errors"
	"math"

	"etude/trace"
)

// errUnvalidated means that Append was given bytes that [Validate] refuses.
var errUnvalidated = errors.New("append spans: the request was not validated")

// Append adds the spans of a request to a Table and returns how many were new;
// the rest were in the Table already. Arrival is when the request was received,
// in unix nanoseconds. The payload must have passed [Validate]; of one that has
// not, a part may be added and an error returned. What goes beyond the limits of
// the Table is dropped or cut, here and not in Validate: so a replay of what older
// programs have logged keeps them too. Append keeps no reference to the payload.
func Append(t *trace.Table, payload []byte, arrival int64) (added int, err error) {
	a := appender{t: t, most: t.Limits().AttributeBytes}
	if a.most <= 0 {
		a.most = math.MaxInt
	}
	t.Arrived(arrival)
	c := cursor{rest: payload}
	for c.next() {
		if c.number == 1 && c.wire == wireBytes {
			a.resourceSpans(c.data)
		}
	}
	if c.bad || a.bad {
		return a.added, errUnvalidated
	}
	return a.added, nil
}

type appender struct {
	t     *trace.Table
	most  int // bytes of a value or key
	added int
	bad   bool
	key   []byte
	span  trace.Span
	link  trace.Link
}

func (a *appender) done(c *cursor) { a.bad = a.bad || c.bad }

// resourceSpans reads twice: the resource may stand behind its spans.
func (a *appender) resourceSpans(b []byte) {
	var res, schema []byte
	c := cursor{rest: b}
	for c.next() {
		switch {
		case c.wire != wireBytes:
		case c.number == 1:
			res = merge(res, c.data)
		case c.number == 3:
			schema = c.data
		}
	}
	number := a.resource(res, schema)
	c = cursor{rest: b}
	for c.next() {
		if c.number == 2 && c.wire == wireBytes {
			a.scopeSpans(number, c.data)
		}
	}
	a.done(&c)
}

// merge joins two occurrences of one message field: protobuf defines that as
// reading their bytes one behind the other. First is what merge or a cursor has
// returned: behind what a cursor returns there is no room, so append copies it once
// and then grows the copy, however many occurrences there are.
func merge(first, second []byte) []byte {
	if first == nil {
		return second
	}
	return append(first, second...)
}

func (a *appender) resource(b, schema []byte) uint32 {
	a.key = append(binary.AppendUvarint(a.key[:0], uint64(len(schema))), schema...)
	a.key = append(a.key, b...)
	if number, ok := a.t.FindResource(a.key); ok {
		return number
	}
	var dropped uint64
	var extra []byte
	c := cursor{rest: b}
	for begin := b; c.next(); begin = c.rest {
		switch {
		case c.number == 2 && c.wire == wireVarint:
			dropped = c.value
		case c.number == 3 && c.wire == wireBytes:
			extra = append(extra, begin[:len(begin)-len(c.rest)]...)
		}
	}
	a.done(&c)
	number, w := a.t.AddResource(a.key, a.t.Code(schema), uint32(dropped), a.t.Code(extra))
	a.attributes(w, b, 1)
	a.t.EndResource()
	return number
}

func (a *appender) scopeSpans(resource uint32, b []byte) {
	var head, schema []byte
	c := cursor{rest: b}
	for c.next() {
		switch {
		case c.wire != wireBytes:
		case c.number == 1:
			head = merge(head, c.data)
		case c.number == 3:
			schema = c.data
		}
	}
	a.span.Scope = a.scope(resource, head, schema)
	c = cursor{rest: b}
	for c.next() {
		if c.number == 2 && c.wire == wireBytes {
			a.addSpan(c.data)
		}
	}
	a.done(&c)
}

func (a *appender) scope(resource uint32, b, schema []byte) uint32 {
	a.key = binary.AppendUvarint(a.key[:0], uint64(resource))
	a.key = append(binary.AppendUvarint(a.key, uint64(len(schema))), schema...)
	a.key = append(a.key, b...)
	if number, ok := a.t.FindScope(a.key); ok {
		return number
	}
	var name, version []byte
	var dropped uint64
	c := cursor{rest: b}
	for c.next() {
		switch {
		case c.number == 1 && c.wire == wireBytes:
			name = c.data
		case c.number == 2 && c.wire == wireBytes:
			version = c.data
		case c.number == 4 && c.wire == wireVarint:
			dropped = c.value
		}
	}
	a.done(&c)
	number, w := a.t.AddScope(a.key, resource, a.t.Code(name), a.t.Code(version), a.t.Code(schema), uint32(dropped))
	a.attributes(w, b, 3)
	a.t.EndScope()
	return number
}

// addSpan reads the fixed part first: whether the span is new is known only
// then, and attributes of a span that is not must not be written.
func (a *appender) addSpan(b []byte) {
	children := a.fixed(b)
	w := a.t.AddSpan(&a.span)
	if w == nil {
		return
	}
	a.added++
	a.children(w, children)
	a.t.EndSpan()
}

// begin starts a.span anew with the fields that b begins with, and returns the
// rest.
func (a *appender) begin(b []byte) (rest []byte) {
	var h spanHead
	rest = h.read(b)
	a.span = trace.Span{Scope: a.span.Scope, Size: uint32(len(b)), Name: h.name, Kind: h.kind, Start: h.start, End: h.end}
	copy(a.span.TraceID[:], h.traceID)
	copy(a.span.SpanID[:], h.spanID)
	copy(a.span.Parent[:], h.parent)
	return rest
}

// fixed fills a.span and returns the stretch that has all attributes, events and
// links; most senders have them one behind the other.
func (a *appender) fixed(b []byte) (children []byte) {
	s := &a.span
	var state []byte
	from, to := len(b), 0 // the stretch
	c := cursor{rest: a.begin(b)}
	for {
		begin := len(b) - len(c.rest)
		for ok := true; ok; { // Fast path
			_, c.rest, ok = plainField(c.rest, tagSpanAttribute)
		}
		if at := len(b) - len(c.rest); at > begin {
			from, to, begin = min(from, begin), at, at
		}
		if !c.next() {
			break
		}
		switch c.wire {
		case wireBytes:
			switch c.number {
			case 1:
				s.TraceID = trace.TraceID{}
				copy(s.TraceID[:], c.data)
			case 2:
				s.SpanID = trace.SpanID{}
				copy(s.SpanID[:], c.data)
			case 3:
				s.TraceState = c.data
			case 4:
				s.Parent = trace.SpanID{}
				copy(s.Parent[:], c.data)
			case 5:
				s.Name = c.data
			case 9, 11, 13:
				from, to = min(from, begin), len(b)-len(c.rest)
			case 15:
				state = merge(state, c.data)
			}
		case wireFixed64:
			switch c.number {
			case 7:
				s.Start = c.value
			case 8:
				s.End = c.value
			}
		case wireVarint:
			switch c.number {
			case 6:
				s.Kind = enumByte(c.value)
			case 10:
				s.DroppedAttrs = uint32(c.value)
			case 12:
				s.DroppedEvents = uint32(c.value)
			case 14:
				s.DroppedLinks = uint32(c.value)
			}
		case wireFixed32:
			if c.number == 16 {
				s.Flags = uint32(c.value)
			}
		}
	}
	a.done(&c)
	a.status(state)
	return b[min(from, to):to]
}

func (a *appender) status(b []byte) {
	c := cursor{rest: b}
	for c.next() {
		switch {
		case c.number == 2 && c.wire == wireBytes:
			a.span.StatusMessage = c.data
		case c.number == 3 && c.wire == wireVarint:
			a.span.Status = enumByte(c.value)
		}
	}
	a.done(&c)
}

// enumByte keeps an enum in a byte. Numbers that OTLP does not define, and a
// byte cannot hold, become 255: still undefined, still not mistaken for another.
func enumByte(v uint64) uint8 { return uint8(min(v, 255)) }

// children adds attributes, events and links, in one pass each: an attribute
// writer is open for one kind of row at a time only within its kind.
func (a *appender) children(w *trace.AttrWriter, b []byte) {
	c := cursor{rest: b}
	for {
		for { // Fast path
			attr, rest, ok := plainField(c.rest, tagSpanAttribute)
			if !ok {
				break
			}
			a.attribute(w, attr)
			c.rest = rest
		}
		if !c.next() {
			return
		}
		if c.wire != wireBytes {
			continue
		}
		switch c.number {
		case 9:
			a.attribute(w, c.data)
		case 11:
			a.event(c.data)
		case 13:
			a.addLink(c.data)
		}
	}
}

func (a *appender) event(b []byte) {
	var time, dropped uint64
	var name []byte
	c := cursor{rest: b}
	for c.next() {
		switch {
		case c.number == 1 && c.wire == wireFixed64:
			time = c.value
		case c.number == 2 && c.wire == wireBytes:
			name = c.data
		case c.number == 4 && c.wire == wireVarint:
			dropped = c.value
		}
	}
	a.done(&c)
	if w := a.t.AddEvent(time, name, uint32(dropped)); w != nil {
		a.attributes(w, b, 3)
		a.t.EndEvent()
	}
}

func (a *appender) addLink(b []byte) {
	a.link = trace.Link{}
	l := &a.link
	c := cursor{rest: b}
	for c.next() {
		switch {
		case c.number == 1 && c.wire == wireBytes:
			copy(l.TraceID[:], c.data)
		case c.number == 2 && c.wire == wireBytes:
			copy(l.SpanID[:], c.data)
		case c.number == 3 && c.wire == wireBytes:
			l.TraceState = c.data
		case c.number == 5 && c.wire == wireVarint:
			l.Dropped = uint32(c.value)
		case c.number == 6 && c.wire == wireFixed32:
			l.Flags = uint32(c.value)
		}
	}
	a.done(&c)
	if w := a.t.AddLink(l); w != nil {
		a.attributes(w, b, 4)
		a.t.EndLink()
	}
}

// attributes adds the KeyValues that a message holds under one field number.
func (a *appender) attributes(w *trace.AttrWriter, b []byte, number uint64) {
	c := cursor{rest: b}
	for c.next() {
		if c.number == number && c.wire == wireBytes {
			a.attribute(w, c.data)
		}
	}
}

func (a *appender) attribute(w *trace.AttrWriter, b []byte) {
	if w.Again(b) { // Fast path
		return
	}
	if key, text, ok := shortText(b); ok { // Fast path
		w.AddText(key, trace.String, text)
		return
	}
	key, value, plain := plainAttribute(b)
	if plain && len(value) <= a.most && addPlain(w, key, value) { // Fast path
		return
	}
	key, value = nil, nil // Slow path
	c := cursor{rest: b}
	for c.next() {
		switch {
		case c.number == 1 && c.wire == wireBytes:
			key = c.data
		case c.number == 2 && c.wire == wireBytes:
			value = merge(value, c.data)
		}
	}
	a.done(&c)
	a.value(w, a.cutText(key), value)
}

// addPlain adds an attribute whose value has the common form.
func addPlain(w *trace.AttrWriter, key, value []byte) bool {
	if text, ok := plainText(value); ok {
		w.AddText(key, trace.String, text)
		return true
	}
	tag, number, ok := plainNumber(value)
	if !ok {
		return false
	}
	switch tag {
	case tagBool:
		w.AddNum(key, trace.Bool, min(number, 1))
	case tagInt:
		w.AddNum(key, trace.Int, number)
	case tagDouble:
		w.AddNum(key, trace.Double, number)
	}
	return true
}

// value adds one attribute; of several fields of the oneof the last counts.
func (a *appender) value(w *trace.AttrWriter, key, b []byte) {
	f, c := lastField(anyValue, b)
	a.done(&c)
	if f == nil {
		w.AddEmpty(key)
		return
	}
	switch c.number {
	case 1:
		w.AddText(key, trace.String, a.cutText(c.data))
	case 2:
		w.AddNum(key, trace.Bool, min(c.value, 1))
	case 3:
		w.AddNum(key, trace.Int, c.value)
	case 4:
		w.AddNum(key, trace.Double, c.value)
	case 5:
		w.AddText(key, trace.Array, a.cutList(b, arrayValue, &c))
	case 6:
		w.AddText(key, trace.KVList, a.cutList(b, keyValueList, &c))
	case 7:
		w.AddText(key, trace.Bytes, a.cutBytes(c.data))
	}
}

// lastField returns the last known field of a message and a cursor that stands
// on it, or nil when there is none.
func lastField(m *message, b []byte) (*field, cursor) {
	var last *field
	var at cursor
	c := cursor{rest: b}
	for c.next() {
		if f := m.field(c.number, c.wire); f != nil {
			last, at = f, c
		}
	}
	at.bad = c.bad
	return last, at
}
