// Package jsonread reads JSON text without creating objects.
//
// A [Reader] first checks that the whole text is valid JSON. So it needs to recognize only the kinds and ends
// of values, and always terminates. Strings are borrowed from the text, except those with escapes. The caller
// asks for the values it wants. Null counts as absent, and the caller skips unknown fields.
package jsonread

import (
	"encoding/json"
	"fmt"
	"strconv"

	"etude/internal/wire"
)

// Reader reads one value after the other.
type Reader struct {
	text []byte
	pos  int
}

// New returns a Reader of text. The error says at which byte text stops being JSON.
func New(text []byte) (*Reader, error) {
	if !json.Valid(text) {
		return nil, fault(text)
	}
	return &Reader{text: text}, nil
}

func fault(text []byte) error {
	var ignored json.RawMessage
	err := json.Unmarshal(text, &ignored)
	if syntax, ok := err.(*json.SyntaxError); ok {
		return fmt.Errorf("at byte %d: %w", syntax.Offset, err)
	}
	return err
}

// Peek returns the first byte of the next value, or the next bracket, or 0 at the end.
func (r *Reader) Peek() byte {
	for ; r.pos < len(r.text); r.pos++ {
		switch c := r.text[r.pos]; c {
		case ' ', '\t', '\n', '\r', ',', ':':
		default:
			return c
		}
	}
	return 0
}

// Open enters an object or a list, whose opening bracket is given. It returns false for null, which has no
// elements.
func (r *Reader) Open(bracket byte) (bool, error) {
	switch r.Peek() {
	case bracket:
		r.pos++
		return true, nil
	case 'n':
		r.Skip()
		return false, nil
	}
	what := "an object"
	if bracket == '[' {
		what = "a list"
	}
	return false, r.not(what)
}

// More reports whether another element follows. If not, it leaves the object or list.
func (r *Reader) More() bool {
	switch r.Peek() {
	case '}', ']':
		r.pos++
		return false
	}
	return true
}

// Key reads the name of a member.
func (r *Reader) Key() string {
	s, _ := r.String()
	return s
}

// String reads a string, or null as the empty one.
func (r *Reader) String() (string, error) {
	switch r.Peek() {
	case 'n':
		r.Skip()
		return "", nil
	case '"':
	default:
		return "", r.not("a string")
	}
	quoted, escaped := r.quoted()
	if !escaped {
		return wire.Borrow(quoted[1 : len(quoted)-1]), nil // Fast path.
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return "", fmt.Errorf("read string: %w", err)
	}
	return s, nil
}

// Scalar reads a string, a number, true or false as text, or null as the empty one.
func (r *Reader) Scalar() (string, error) {
	switch r.Peek() {
	case '"', 'n':
		return r.String()
	case '{', '[':
		return "", r.not("a string, a number or a bool")
	}
	start := r.pos
	r.word()
	return wire.Borrow(r.text[start:r.pos]), nil
}

// quoted skips a string and returns it with its quotes.
func (r *Reader) quoted() (quoted []byte, escaped bool) {
	start := r.pos
	for r.pos++; r.pos < len(r.text); r.pos++ {
		switch r.text[r.pos] {
		case '\\':
			escaped = true
			r.pos++
		case '"':
			r.pos++
			return r.text[start:r.pos], escaped
		}
	}
	return r.text[start:], escaped // unreachable in valid JSON
}

// Int reads a whole number, or null as 0.
func (r *Reader) Int() (int64, error) {
	c := r.Peek()
	switch {
	case c == 'n':
		r.Skip()
		return 0, nil
	case c != '-' && (c < '0' || c > '9'):
		return 0, r.not("a whole number")
	}
	start := r.pos
	r.word()
	n, err := strconv.ParseInt(wire.Borrow(r.text[start:r.pos]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is not a whole number of 64 bits", Cut(string(r.text[start:r.pos])))
	}
	return n, nil
}

// Skip skips a value.
func (r *Reader) Skip() {
	for depth := 0; ; {
		switch r.Peek() {
		case '"':
			r.quoted()
		case '{', '[':
			r.pos++
			depth++
		case '}', ']':
			r.pos++
			depth--
		case 0:
			return
		default:
			r.word()
		}
		if depth <= 0 {
			return
		}
	}
}

// word skips a number, true, false or null.
func (r *Reader) word() {
	for ; r.pos < len(r.text); r.pos++ {
		switch r.text[r.pos] {
		case ' ', '\t', '\n', '\r', ',', ':', '}', ']':
			return
		}
	}
}

// not returns an error for a next value of the wrong kind.
func (r *Reader) not(wanted string) error {
	return fmt.Errorf("want %s, got %s", wanted, r.Describe())
}

// Describe names the next value, for an error.
func (r *Reader) Describe() string {
	switch r.Peek() {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case 't':
		return "true"
	case 'f':
		return "false"
	case 'n':
		return "null"
	case 0:
		return "the end"
	case '"':
		at := *r
		s, _ := at.String()
		return fmt.Sprintf("the string %q", Cut(s))
	}
	at := *r
	at.word()
	return "the number " + Cut(string(r.text[r.pos:at.pos]))
}

// Cut limits the size of a value in an error, and copies borrowed bytes.
func Cut(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return string([]byte(s))
}
