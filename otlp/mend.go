package otlp

import (
	"bytes"
	"fmt"

	"etude/internal/wire"
)

// The slow path of [Validate]: something is wrong with the request.
//
// A request that is not protobuf is refused as a whole: its sender and this
// program would read the rest of it differently. Any other fault affects only its own place. A bad span is left out.
// A bad resource or scope is left out with the spans below it. A string loses only the bytes that are not UTF-8. The
// mender copies the rest into a new request, so the log and the Tables hold valid requests only, and replaying the
// log needs no second judgement. A valid request is never copied.

// Rejected describes the spans that Validate left out of a request. The zero value means none.
type Rejected struct {
	Spans  int
	Reason string // of the first one, with its path
}

// mender copies the good parts of a request.
type mender struct {
	v     validator
	e     encoder
	stats Stats
}

func mend(payload []byte) ([]byte, Stats, error) {
	var m mender
	m.e.B = make([]byte, 0, len(payload)+len(payload)/8)
	if err := m.parts(tracesData, payload, ""); err != nil {
		return nil, Stats{}, err
	}
	return m.e.B, m.stats, nil
}

// parts copies a message of the levels above spans, which has this path.
func (m *mender) parts(of *message, b []byte, path string) *Error {
	if err := m.ownFields(of, b); err != nil {
		err.Path = joinPath(path, err.Path)
		return m.rejectAll(of, b, err)
	}
	c, n := wire.Reader{Rest: b}, 0
	for begin := b; c.Next(); begin = c.Rest {
		raw := begin[:len(begin)-len(c.Rest)]
		f := of.field(c.Number, c.Type)
		if f == nil || f.message == nil || !f.repeated {
			m.stats.Mended = m.e.mended(f, &c, raw, 0) || m.stats.Mended
			continue
		}
		if err := m.part(f, &c, raw, joinPath(path, fmt.Sprintf("%s[%d]", f.proto, n))); err != nil {
			return err
		}
		n++
	}
	if c.Err != nil {
		return notProtobuf(of, path, len(b)-len(c.Rest))
	}
	return nil
}

// ownFields checks resource and scope: the messages that are not repeated.
func (m *mender) ownFields(of *message, b []byte) *Error {
	c := wire.Reader{Rest: b}
	for c.Next() {
		f := of.field(c.Number, c.Type)
		if f == nil || f.message == nil || f.repeated {
			continue
		}
		var e encoder
		e.fields(f.message, c.Data, 0)
		if err := m.v.content(f, e.B, 0); err != nil {
			err.Path = joinPath(f.proto, err.Path)
			return err
		}
	}
	return nil
}

// part copies one resource_spans, scope_spans or span.
func (m *mender) part(f *field, c *wire.Reader, raw []byte, path string) *Error {
	if f.message == span {
		return m.span(c.Data, raw, path)
	}
	at := m.e.Open(c.Number)
	err := m.parts(f.message, c.Data, path)
	m.e.Close(at)
	return err
}

func (m *mender) span(b, raw []byte, path string) *Error {
	before := len(m.e.B)
	err := m.v.message(span, b, 0)
	switch {
	case err == nil:
		m.e.B = append(m.e.B, raw...)
	case err.kind == badText:
		at := m.e.Open(2)
		m.e.fields(span, b, 0)
		err = m.v.message(span, m.e.B[at:], 0)
		m.e.Close(at)
	}
	if err == nil {
		m.stats.Mended = m.stats.Mended || len(m.e.B)-before != len(raw) || !bytes.Equal(m.e.B[before:], raw)
		m.stats.Spans++
		return nil
	}
	m.e.B = m.e.B[:before]
	if err.kind == malformed {
		m.v.quiet = false
		err = m.v.message(span, b, 0) // again, with its path
		err.Path = joinPath(path, err.Path)
		return err
	}
	err.Path = joinPath(path, err.Path)
	m.reject(err)
	return nil
}

// rejectAll rejects the spans below a bad resource or scope.
func (m *mender) rejectAll(of *message, b []byte, reason *Error) *Error {
	if reason.kind == malformed {
		return reason
	}
	c := wire.Reader{Rest: b}
	for c.Next() {
		f := of.field(c.Number, c.Type)
		switch {
		case f == nil || f.message == nil || !f.repeated:
		case f.message == span:
			m.reject(reason)
		default:
			if err := m.rejectAll(f.message, c.Data, reason); err != nil {
				return err
			}
		}
	}
	if c.Err != nil {
		return notProtobuf(of, reason.Path, len(b)-len(c.Rest))
	}
	return nil
}

func (m *mender) reject(reason *Error) {
	if m.stats.Rejected.Spans++; m.stats.Rejected.Spans == 1 {
		m.stats.Rejected.Reason = reason.where()
		m.v.quiet = true
	}
}

// fields writes the content of a message, with U+FFFD for each stretch of a string
// that is not UTF-8. Bytes that are not protobuf stay, for the validator to find.
func (e *encoder) fields(of *message, b []byte, depth int) (mended bool) {
	c, begin := wire.Reader{Rest: b}, b
	for ; c.Next(); begin = c.Rest {
		mended = e.mended(of.field(c.Number, c.Type), &c, begin[:len(begin)-len(c.Rest)], depth) || mended
	}
	e.B = append(e.B, begin...)
	return mended
}

// mended writes one field, whose bytes are raw. Messages below any depth that is
// allowed stay as they are, for the validator to find.
func (e *encoder) mended(f *field, c *wire.Reader, raw []byte, depth int) (mended bool) {
	switch {
	case f == nil:
	case f.form == formString && !validUTF8(c.Data):
		e.Bytes(c.Number, bytes.ToValidUTF8(c.Data, replacement))
		return true
	case f.form == formMessage && depth <= maxMessages && !(f.message == keyValue && plainValid(c.Data)):
		at := e.Open(c.Number)
		mended = e.fields(f.message, c.Data, depth+1)
		e.Close(at)
		return mended
	}
	e.B = append(e.B, raw...)
	return false
}

// maxMessages is how deep messages nest at MaxDepth: a value in a
// kvlist is an AnyValue in a KeyValue in a KeyValueList.
const maxMessages = 3*MaxDepth + 8

// replacement is U+FFFD in UTF-8.
var replacement = []byte("\uFFFD")
