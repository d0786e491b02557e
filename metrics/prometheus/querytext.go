package prometheus

import (
	"fmt"
	"net/http"
	"strings"
)

// Prometheus limits the work of a query, but not its text. Its parser takes some 460 bytes for each parenthesis
// before it finds that one is missing, and a form may have 10 MB. So boundTexts measures texts before they are
// parsed.

const (
	maxQueryBody  = 1 << 20   // of a request with a query
	maxQueryText  = 128 << 10 // of all queries and selectors of a request
	maxQueryPlain = 16 << 10  // of a text without strings: a chain of operators takes quadratic time
	maxQueryDepth = 200       // nested parentheses, or signs in a row
)

// boundTexts reads the parameters of a request and refuses queries that are too large to parse.
func boundTexts(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return fmt.Errorf("read the parameters: %w", err)
	}
	length := 0
	for _, name := range []string{"query", "match[]", "match_target"} {
		for _, text := range r.Form[name] {
			if length += len(text); length > maxQueryText {
				return fmt.Errorf("%s: the text of a query may have %d bytes", name, maxQueryText)
			}
			switch depth, plain := measure(text); {
			case depth > maxQueryDepth:
				return fmt.Errorf("%s: it is nested deeper than %d levels", name, maxQueryDepth)
			case plain > maxQueryPlain:
				return fmt.Errorf("%s: the text of a query may have %d bytes outside of strings", name, maxQueryPlain)
			}
		}
	}
	return nil
}

// measure returns the depth of a query, which is the most open brackets plus the most signs in a row, and its
// number of bytes outside strings. Strings and comments have no depth.
func measure(text string) (deepest, plain int) {
	depth, signs := 0, 0
	plain = len(text)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case '+', '-':
			signs++
			deepest = max(deepest, depth+signs)
			continue
		case ' ', '\t', '\n', '\r':
			continue
		case '#':
			i += before(text[i:], "\n")
			continue
		case '"', '\'', '`':
			n := quoted(text[i:])
			plain -= n
			i += n - 1
		}
		signs = 0
		deepest = max(deepest, depth)
	}
	return deepest, plain
}

// before returns the number of bytes of text before end, or all of them.
func before(text, end string) int {
	if n := strings.Index(text, end); n >= 0 {
		return n
	}
	return len(text)
}

// quoted returns the length of the string that text begins with.
func quoted(text string) int {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == text[0]:
			return i + 1
		case text[i] == '\\' && text[0] != '`':
			i++
		}
	}
	return len(text)
}
