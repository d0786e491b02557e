package eval

import (
	"io"
	"regexp"
	"regexp/syntax"
	"unicode/utf8"

	promlabels "github.com/prometheus/prometheus/model/labels"
)

// pattern is a compiled regular expression that can be stopped. The time for a
// text grows with its length times the size of the pattern, and package regexp
// polls no context: a text that may take long is read through a reader that
// does, and that ends when the query has been given up.
//
// Literals of the pattern rule most texts out before the automaton runs: those
// that Prometheus' matcher finds, text by text, and one that every match has to
// contain, for all texts of a View at once.
type pattern struct {
	*regexp.Regexp
	size  int                          // in instructions, see check.Regexp
	fast  *promlabels.FastRegexMatcher // nil: none
	needs string                       // every match has it; "" when nothing is known
}

func newPattern(text string, re *regexp.Regexp, size int) *pattern {
	p := &pattern{Regexp: re, size: size}
	if fast, err := promlabels.NewFastRegexMatcher(text); err == nil {
		p.fast = fast
	}
	if tree, err := syntax.Parse(text, syntax.Perl|syntax.DotNL); err == nil {
		p.needs = literalOf(tree)
	}
	return p
}

// literalOf returns the longest text that every match of the tree contains.
func literalOf(tree *syntax.Regexp) (longest string) {
	switch tree.Op {
	case syntax.OpLiteral:
		if tree.Flags&syntax.FoldCase == 0 {
			return string(tree.Rune)
		}
	case syntax.OpCapture, syntax.OpPlus:
		return literalOf(tree.Sub[0])
	case syntax.OpRepeat:
		if tree.Min > 0 {
			return literalOf(tree.Sub[0])
		}
	case syntax.OpConcat:
		for _, sub := range tree.Sub {
			if l := literalOf(sub); len(l) > len(longest) {
				longest = l
			}
		}
	}
	return longest
}

// stepWork is how many steps of a regular expression count as the work of a row,
// longSteps how many a text may need without polling the context.
const (
	stepWork  = 1 << 12
	longSteps = 1 << 20
)

func (p *pattern) work(text string) int { return 1 + len(text)*p.size/stepWork }

func (p *pattern) match(text string, poll *Poll) bool {
	if poll == nil || len(text)*p.size < longSteps { // Fast path: nearly always.
		if p.fast != nil {
			return p.fast.MatchString(text)
		}
		return p.MatchString(text)
	}
	return p.MatchReader(&polledText{text: text, each: 1 + p.size/16, poll: poll})
}

// polledText reads a text rune by rune, until the query is given up.
type polledText struct {
	text string
	each int // work of a rune
	poll *Poll
}

func (t *polledText) ReadRune() (r rune, size int, err error) {
	if len(t.text) == 0 || t.poll.Stop(t.each) {
		return 0, 0, io.EOF
	}
	r, size = utf8.DecodeRuneInString(t.text)
	t.text = t.text[size:]
	return r, size, nil
}
