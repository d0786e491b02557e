package eval

import (
	"io"
	"regexp"
	"unicode/utf8"
)

// pattern is a compiled regular expression that can be stopped. The time for a
// text grows with its length times the size of the pattern, and package regexp
// looks at no context: a text that may take long is read through a reader that
// does, and that ends when the query has been given up.
type pattern struct {
	*regexp.Regexp
	size int // in instructions, see check.Regexp
}

// stepWork is how many steps of a regular expression count as the work of a row,
// longSteps how many a text may need without a look at the context.
const (
	stepWork  = 1 << 12
	longSteps = 1 << 20
)

func (p *pattern) work(text string) int { return 1 + len(text)*p.size/stepWork }

func (p *pattern) match(text string, poll *poll) bool {
	if poll == nil || len(text)*p.size < longSteps { // Fast path: nearly always.
		return p.MatchString(text)
	}
	return p.MatchReader(&polledText{text: text, each: 1 + p.size/16, poll: poll})
}

// polledText reads a text rune by rune, until the query is given up.
type polledText struct {
	text string
	each int // work of a rune
	poll *poll
}

func (t *polledText) ReadRune() (r rune, size int, err error) {
	if len(t.text) == 0 || t.poll.stop(t.each) {
		return 0, 0, io.EOF
	}
	r, size = utf8.DecodeRuneInString(t.text)
	t.text = t.text[size:]
	return r, size, nil
}
