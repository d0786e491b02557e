package otlp

import (
	"encoding/binary"
	"errors"
	"math"

	"etude/internal/wire"
	"etude/trace"
)

// errUnvalidated means that the caller gave Append bytes that [Validate] refuses.
var errUnvalidated = errors.New("append spans: the request was not validated")

// Append adds the spans of a request to a Table and returns how many were new; the rest were in the Table
// already. Arrival is the time of the request's arrival in unix nanoseconds. The payload must have passed
// [Validate]; of one that has not, a part may be added and an error returned. Append, not Validate, drops or
// cuts the excess over the limits of the Table, so a replay of an older program's log keeps the limits too.
// Append keeps no reference to the payload.
func Append(t *trace.Table, payload []byte, arrival int64) (added int, err error) {
	a := appender{t: t, most: t.Limits().AttributeBytes}
	if a.most <= 0 {
		a.most = math.MaxInt
	}
	t.Arrived(arrival)
	c := wire.Reader{Rest: payload}
	for c.Next() {
		if c.Number == 1 && c.Type == wireBytes {
			a.resourceSpans(c.Data)
		}
	}
	if c.Err != nil || a.bad {
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

func (a *appender) done(c *wire.Reader) { a.bad = a.bad || c.Err != nil }

// resourceSpans reads twice: the resource may come after its spans.
func (a *appender) resourceSpans(b []byte) {
	var res, schema []byte
	c := wire.Reader{Rest: b}
	for c.Next() {
		switch {
		case c.Type != wireBytes:
		case c.Number == 1:
			res = merge(res, c.Data)
		case c.Number == 3:
			schema = c.Data
		}
	}
	number := a.resource(res, schema)
	c = wire.Reader{Rest: b}
	for c.Next() {
		if c.Number == 2 && c.Type == wireBytes {
			a.scopeSpans(number, c.Data)
		}
	}
	a.done(&c)
}

// merge joins two occurrences of one message field: protobuf defines that as
// reading their bytes one after the other. First is what merge or a cursor has
// returned: a cursor's slice has no spare capacity, so append copies it once
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
	c := wire.Reader{Rest: b}
	for begin := b; c.Next(); begin = c.Rest {
		switch {
		case c.Number == 2 && c.Type == wireVarint:
			dropped = c.Value
		case c.Number == 3 && c.Type == wireBytes:
			extra = append(extra, begin[:len(begin)-len(c.Rest)]...)
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
	c := wire.Reader{Rest: b}
	for c.Next() {
		switch {
		case c.Type != wireBytes:
		case c.Number == 1:
			head = merge(head, c.Data)
		case c.Number == 3:
			schema = c.Data
		}
	}
	a.span.Scope = a.scope(resource, head, schema)
	c = wire.Reader{Rest: b}
	for c.Next() {
		if c.Number == 2 && c.Type == wireBytes {
			a.addSpan(c.Data)
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
	c := wire.Reader{Rest: b}
	for c.Next() {
		switch {
		case c.Number == 1 && c.Type == wireBytes:
			name = c.Data
		case c.Number == 2 && c.Type == wireBytes:
			version = c.Data
		case c.Number == 4 && c.Type == wireVarint:
			dropped = c.Value
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

// begin resets a.span to the leading fields of b, and returns the rest of b.
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
// links; most senders write them one after the other.
func (a *appender) fixed(b []byte) (children []byte) {
	s := &a.span
	var state []byte
	from, to := len(b), 0 // the stretch
	c := wire.Reader{Rest: a.begin(b)}
	for {
		begin := len(b) - len(c.Rest)
		for ok := true; ok; { // Fast path
			_, c.Rest, ok = plainField(c.Rest, tagSpanAttribute)
		}
		if at := len(b) - len(c.Rest); at > begin {
			from, to, begin = min(from, begin), at, at
		}
		if !c.Next() {
			break
		}
		switch c.Type {
		case wireBytes:
			switch c.Number {
			case 1:
				s.TraceID = trace.TraceID{}
				copy(s.TraceID[:], c.Data)
			case 2:
				s.SpanID = trace.SpanID{}
				copy(s.SpanID[:], c.Data)
			case 3:
				s.TraceState = c.Data
			case 4:
				s.Parent = trace.SpanID{}
				copy(s.Parent[:], c.Data)
			case 5:
				s.Name = c.Data
			case 9, 11, 13:
				from, to = min(from, begin), len(b)-len(c.Rest)
			case 15:
				state = merge(state, c.Data)
			}
		case wireFixed64:
			switch c.Number {
			case 7:
				s.Start = c.Value
			case 8:
				s.End = c.Value
			}
		case wireVarint:
			switch c.Number {
			case 6:
				s.Kind = enumByte(c.Value)
			case 10:
				s.DroppedAttrs = uint32(c.Value)
			case 12:
				s.DroppedEvents = uint32(c.Value)
			case 14:
				s.DroppedLinks = uint32(c.Value)
			}
		case wireFixed32:
			if c.Number == 16 {
				s.Flags = uint32(c.Value)
			}
		}
	}
	a.done(&c)
	a.status(state)
	return b[min(from, to):to]
}

func (a *appender) status(b []byte) {
	c := wire.Reader{Rest: b}
	for c.Next() {
		switch {
		case c.Number == 2 && c.Type == wireBytes:
			a.span.StatusMessage = c.Data
		case c.Number == 3 && c.Type == wireVarint:
			a.span.Status = enumByte(c.Value)
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
	c := wire.Reader{Rest: b}
	for {
		for { // Fast path
			attr, rest, ok := plainField(c.Rest, tagSpanAttribute)
			if !ok {
				break
			}
			a.attribute(w, attr)
			c.Rest = rest
		}
		if !c.Next() {
			return
		}
		if c.Type != wireBytes {
			continue
		}
		switch c.Number {
		case 9:
			a.attribute(w, c.Data)
		case 11:
			a.event(c.Data)
		case 13:
			a.addLink(c.Data)
		}
	}
}

func (a *appender) event(b []byte) {
	var time, dropped uint64
	var name []byte
	c := wire.Reader{Rest: b}
	for c.Next() {
		switch {
		case c.Number == 1 && c.Type == wireFixed64:
			time = c.Value
		case c.Number == 2 && c.Type == wireBytes:
			name = c.Data
		case c.Number == 4 && c.Type == wireVarint:
			dropped = c.Value
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
	c := wire.Reader{Rest: b}
	for c.Next() {
		switch {
		case c.Number == 1 && c.Type == wireBytes:
			copy(l.TraceID[:], c.Data)
		case c.Number == 2 && c.Type == wireBytes:
			copy(l.SpanID[:], c.Data)
		case c.Number == 3 && c.Type == wireBytes:
			l.TraceState = c.Data
		case c.Number == 5 && c.Type == wireVarint:
			l.Dropped = uint32(c.Value)
		case c.Number == 6 && c.Type == wireFixed32:
			l.Flags = uint32(c.Value)
		}
	}
	a.done(&c)
	if w := a.t.AddLink(l); w != nil {
		a.attributes(w, b, 4)
		a.t.EndLink()
	}
}

// attributes adds the KeyValues that a message holds under one field number.
func (a *appender) attributes(w *trace.AttrWriter, b []byte, number wire.Number) {
	c := wire.Reader{Rest: b}
	for c.Next() {
		if c.Number == number && c.Type == wireBytes {
			a.attribute(w, c.Data)
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
	c := wire.Reader{Rest: b}
	for c.Next() {
		switch {
		case c.Number == 1 && c.Type == wireBytes:
			key = c.Data
		case c.Number == 2 && c.Type == wireBytes:
			value = merge(value, c.Data)
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
	switch c.Number {
	case 1:
		w.AddText(key, trace.String, a.cutText(c.Data))
	case 2:
		w.AddNum(key, trace.Bool, min(c.Value, 1))
	case 3:
		w.AddNum(key, trace.Int, c.Value)
	case 4:
		w.AddNum(key, trace.Double, c.Value)
	case 5:
		w.AddText(key, trace.Array, a.cutList(b, arrayValue, &c))
	case 6:
		w.AddText(key, trace.KVList, a.cutList(b, keyValueList, &c))
	case 7:
		w.AddText(key, trace.Bytes, a.cutBytes(c.Data))
	}
}

// lastField returns the last known field of a message and a cursor that is
// on it, or nil when there is none.
func lastField(m *message, b []byte) (*field, wire.Reader) {
	var last *field
	var at wire.Reader
	c := wire.Reader{Rest: b}
	for c.Next() {
		if f := m.field(c.Number, c.Type); f != nil {
			last, at = f, c
		}
	}
	at.Err = c.Err
	return last, at
}
