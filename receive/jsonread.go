package receive

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// jsonReader walks through a text that json.Valid has found to be JSON: so it
// needs to look only for what tells values apart, and always ends. Texts are
// borrowed from the bytes, but for those with escapes.
type jsonReader struct {
	text []byte
	pos  int
}

// peek returns the first byte of what comes next, or 0 at the end.
func (r *jsonReader) peek() byte {
	for ; r.pos < len(r.text); r.pos++ {
		switch c := r.text[r.pos]; c {
		case ' ', '\t', '\n', '\r', ',', ':':
		default:
			return c
		}
	}
	return 0
}

// open enters an object or a list, by its bracket. null is the same as nothing
// in it: then false is returned, as there is nothing to read.
func (r *jsonReader) open(bracket byte) (bool, error) {
	switch r.peek() {
	case bracket:
		r.pos++
		return true, nil
	case 'n':
		r.skip()
		return false, nil
	}
	what := "an object"
	if bracket == '[' {
		what = "a list"
	}
	return false, r.not(what)
}

// more reports whether there is another element. If not, it leaves the object or
// list.
func (r *jsonReader) more() bool {
	switch r.peek() {
	case '}', ']':
		r.pos++
		return false
	}
	return true
}

// key reads the name of a member.
func (r *jsonReader) key() string {
	s, _ := r.string()
	return s
}

// string reads a string, or null as the empty one.
func (r *jsonReader) string() (string, error) {
	switch r.peek() {
	case 'n':
		r.skip()
		return "", nil
	case '"':
	default:
		return "", r.not("a string")
	}
	quoted, escaped := r.quoted()
	if !escaped {
		return borrow(quoted[1 : len(quoted)-1]), nil // Fast path.
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return "", fmt.Errorf("read string: %w", err)
	}
	return s, nil
}

// quoted passes over a string and returns it with its quotes.
func (r *jsonReader) quoted() (quoted []byte, escaped bool) {
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
	return r.text[start:], escaped // not in valid JSON
}

// int reads a whole number, or null as 0.
func (r *jsonReader) int() (int64, error) {
	c := r.peek()
	switch {
	case c == 'n':
		r.skip()
		return 0, nil
	case c != '-' && (c < '0' || c > '9'):
		return 0, r.not("a whole number")
	}
	start := r.pos
	r.word()
	n, err := strconv.ParseInt(borrow(r.text[start:r.pos]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s is not a whole number of 64 bits", cutText(string(r.text[start:r.pos])))
	}
	return n, nil
}

// skip passes over a value.
func (r *jsonReader) skip() {
	for depth := 0; ; {
		switch r.peek() {
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

// word passes over a number, true, false or null.
func (r *jsonReader) word() {
	for ; r.pos < len(r.text); r.pos++ {
		switch r.text[r.pos] {
		case ' ', '\t', '\n', '\r', ',', ':', '}', ']':
			return
		}
	}
}

// not says that what comes next is something else than wanted.
func (r *jsonReader) not(wanted string) error {
	kinds := map[byte]string{'{': "an object", '[': "a list", '"': "a string", 't': "true", 'f': "false", 0: "the end"}
	got, ok := kinds[r.peek()]
	if !ok {
		got = "a number"
	}
	return fmt.Errorf("want %s, got %s", wanted, got)
}

// jsonFault says why a text is not JSON.
func jsonFault(text []byte) error {
	var ignored json.RawMessage
	err := json.Unmarshal(text, &ignored)
	if syntax, ok := err.(*json.SyntaxError); ok {
		return fmt.Errorf("at byte %d: %w", syntax.Offset, err)
	}
	return err
}
