package otlp

import (
	"iter"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/internal/wire"
)

// A trace of a million spans is 300 MB of JSON. So an answer is written span by span: a span is encoded into a
// small buffer that is used again, and the caller may send and forget the bytes after each span. JSON needs
// nothing in front. Protobuf needs the length of each message before its content; a first pass encodes every
// span and keeps only the lengths. Rejected: a second encoder that only counts, because the two would always
// have to agree.

// Stream is a way to write a trace.
type Stream struct {
	// Edit, if set, changes an encoded span; it may return its argument.
	Edit func(span []byte) []byte
	// Step is called after each span with the bytes written, and returns the buffer to use next, most often the same
	// or an empty one. An error ends the writing.
	Step func(b []byte) ([]byte, error)
}

// JSON appends spans as a JSON object, as [ToJSON] does with what [AppendTraces]
// makes of them.
func (s Stream) JSON(dst []byte, spans []Ref, d Dialect) ([]byte, error) {
	w := &jsonStream{Stream: s, jsonWriter: jsonWriter{b: dst, d: d}}
	if len(spans) == 0 {
		return append(dst, '{', '}'), nil
	}
	w.b = append(w.b, '{')
	w.name(&tracesData.fields[1], true)
	for i, group := range groupBy(spans, byResource) {
		w.separate('[', i)
		if err := w.resourceSpans(group); err != nil {
			return nil, err
		}
	}
	w.b = append(w.b, ']', '}')
	return w.b, nil
}

type jsonStream struct {
	Stream
	jsonWriter
	e encoder // for one message
}

// separate opens a list in front of its first entry and writes a comma in front
// of the others.
func (w *jsonStream) separate(open byte, i int) {
	if i == 0 {
		w.b = append(w.b, open)
	} else {
		w.b = append(w.b, ',')
	}
}

func (w *jsonStream) resourceSpans(spans []Ref) error {
	v, number := spans[0].View, spans[0].View.Resource(spans[0].Row)
	w.e.B = w.e.B[:0]
	w.e.resource(v, number)
	w.b = append(w.b, '{')
	w.name(&resourceSpans.fields[1], true)
	w.message(resource, w.e.B)
	w.name(&resourceSpans.fields[2], false)
	for i, group := range groupBy(spans, byScope) {
		w.separate('[', i)
		if err := w.scopeSpans(group); err != nil {
			return err
		}
	}
	w.b = append(w.b, ']')
	w.schemaURL(&resourceSpans.fields[3], v.Text(v.ResourceSchemaURL[number]))
	return nil
}

func (w *jsonStream) scopeSpans(spans []Ref) error {
	v, number := spans[0].View, spans[0].View.Scope[spans[0].Row]
	w.e.B = w.e.B[:0]
	w.e.scope(v, number)
	w.b = append(w.b, '{')
	w.name(&scopeSpans.fields[1], true)
	w.message(scope, w.e.B)
	w.name(&scopeSpans.fields[2], false)
	for i, r := range spans {
		w.separate('[', i)
		w.message(span, w.encoded(&w.e, r))
		var err error
		if w.b, err = w.Step(w.b); err != nil {
			return err
		}
	}
	w.b = append(w.b, ']')
	w.schemaURL(&scopeSpans.fields[3], v.Text(v.ScopeSchemaURL[number]))
	return nil
}

// schemaURL writes the last member of an object and closes it.
func (w *jsonStream) schemaURL(f *field, url string) {
	if url != "" {
		w.name(f, false)
		w.string([]byte(url))
	}
	w.b = append(w.b, '}')
}

// encoded returns a span as the answer has it, in the encoder's buffer.
func (s Stream) encoded(e *encoder, r Ref) []byte {
	e.B = e.B[:0]
	e.span(r.View, r.Row)
	if s.Edit != nil {
		return s.Edit(e.B)
	}
	return e.B
}

// Groups calls f with each group of one resource and scope, in the order of an answer: both as messages,
// resource nil when it is that of the group before, and the spans one by one. The bytes are valid until the
// next call.
func (s Stream) Groups(spans []Ref, f func(resource, scope []byte, spans iter.Seq[[]byte]) error) error {
	head, inner, e := encoder{wire.Builder{B: []byte{}}}, encoder{}, encoder{}
	for _, group := range groupBy(spans, byResource) {
		v := group[0].View
		head.B = head.B[:0]
		head.resource(v, v.Resource(group[0].Row))
		about := head.B
		for _, of := range groupBy(group, byScope) {
			inner.B = inner.B[:0]
			inner.scope(v, v.Scope[of[0].Row])
			err := f(about, inner.B, func(yield func([]byte) bool) {
				for _, r := range of {
					if !yield(s.encoded(&e, r)) {
						return
					}
				}
			})
			if err != nil {
				return err
			}
			about = nil
		}
	}
	return nil
}

// Small returns the encoded TracesData in one piece, nil when it would have more
// than most bytes.
func (s Stream) Small(spans []Ref, most int) ([]byte, error) {
	return s.small([]byte{}, spans, most)
}

func (s Stream) small(dst []byte, spans []Ref, most int) ([]byte, error) {
	out, one := encoder{wire.Builder{B: dst}}, encoder{}
	for _, group := range groupBy(spans, byResource) {
		v, number := group[0].View, group[0].View.Resource(group[0].Row)
		rs := out.Open(1)
		at := out.Open(1)
		out.resource(v, number)
		out.Close(at)
		for _, of := range groupBy(group, byScope) {
			ss := out.Open(2)
			if ok, err := s.smallScope(&out, &one, of, most); !ok {
				return nil, err
			}
			out.Close(ss)
		}
		out.Raw(3, v.Text(v.ResourceSchemaURL[number]))
		out.Close(rs)
	}
	return out.B, nil
}

func (s Stream) smallScope(out, one *encoder, spans []Ref, most int) (ok bool, err error) {
	v, number := spans[0].View, spans[0].View.Scope[spans[0].Row]
	at := out.Open(1)
	out.scope(v, number)
	out.Close(at)
	for _, r := range spans {
		if _, err := s.Step(nil); err != nil || len(out.B) > most {
			return false, err
		}
		at := out.Open(2)
		if s.Edit == nil { // Fast path: nearly every trace.
			out.span(r.View, r.Row)
		} else {
			out.B = append(out.B, s.encoded(one, r)...)
		}
		out.Close(at)
	}
	out.Raw(3, v.Text(v.ScopeSchemaURL[number]))
	return true, nil
}

// Arranged are the spans of a trace in the order of an answer, with the lengths
// of all messages but the spans themselves.
type Arranged struct {
	Stream
	Size   int // of the encoded TracesData
	groups []sizedGroup
	e      encoder
}

type sizedGroup struct {
	spans  []Ref
	size   int // of the content
	scopes []sizedGroup
}

// Arrange finds the lengths. Step is called with nothing written.
func (s Stream) Arrange(spans []Ref) (*Arranged, error) {
	a := &Arranged{Stream: s}
	for _, group := range groupBy(spans, byResource) {
		rs := sizedGroup{spans: group}
		v, number := group[0].View, group[0].View.Resource(group[0].Row)
		a.e.B = a.e.B[:0]
		a.e.resource(v, number)
		rs.size = field1(len(a.e.B)) + textSize(v.Text(v.ResourceSchemaURL[number]))
		for _, of := range groupBy(group, byScope) {
			ss, err := a.measure(of)
			if err != nil {
				return nil, err
			}
			rs.scopes = append(rs.scopes, ss)
			rs.size += field1(ss.size)
		}
		a.groups = append(a.groups, rs)
		a.Size += field1(rs.size)
	}
	return a, nil
}

func (a *Arranged) measure(spans []Ref) (sizedGroup, error) {
	ss := sizedGroup{spans: spans}
	v, number := spans[0].View, spans[0].View.Scope[spans[0].Row]
	a.e.B = a.e.B[:0]
	a.e.scope(v, number)
	ss.size = field1(len(a.e.B)) + textSize(v.Text(v.ScopeSchemaURL[number]))
	for _, r := range spans {
		ss.size += field1(len(a.encoded(&a.e, r)))
		if _, err := a.Step(nil); err != nil {
			return ss, err
		}
	}
	return ss, nil
}

// field1 is the length of a message field with a one-byte tag and n bytes.
func field1(n int) int { return 1 + protowire.SizeBytes(n) }

func textSize(s string) int {
	if s == "" {
		return 0
	}
	return field1(len(s))
}

// Proto appends the encoded TracesData, the bytes that [AppendTraces] gives.
func (a *Arranged) Proto(dst []byte) ([]byte, error) {
	for _, rs := range a.groups {
		v, number := rs.spans[0].View, rs.spans[0].View.Resource(rs.spans[0].Row)
		dst = appendHead(dst, 1, rs.size)
		a.e.B = a.e.B[:0]
		a.e.resource(v, number)
		dst = appendField(dst, 1, a.e.B)
		for _, ss := range rs.scopes {
			var err error
			if dst, err = a.scopeSpans(appendHead(dst, 2, ss.size), ss.spans); err != nil {
				return nil, err
			}
		}
		if url := v.Text(v.ResourceSchemaURL[number]); url != "" {
			dst = appendField(dst, 3, []byte(url))
		}
	}
	return dst, nil
}

func (a *Arranged) scopeSpans(dst []byte, spans []Ref) (_ []byte, err error) {
	v, number := spans[0].View, spans[0].View.Scope[spans[0].Row]
	a.e.B = a.e.B[:0]
	a.e.scope(v, number)
	dst = appendField(dst, 1, a.e.B)
	for _, r := range spans {
		if dst, err = a.Step(appendField(dst, 2, a.encoded(&a.e, r))); err != nil {
			return nil, err
		}
	}
	if url := v.Text(v.ScopeSchemaURL[number]); url != "" {
		dst = appendField(dst, 3, []byte(url))
	}
	return dst, nil
}

func appendHead(dst []byte, number wire.Number, size int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, number, protowire.BytesType), uint64(size))
}

func appendField(dst []byte, number wire.Number, content []byte) []byte {
	return append(appendHead(dst, number, len(content)), content...)
}
