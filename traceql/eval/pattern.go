package eval

import (
	"io"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"

	promlabels "github.com/prometheus/prometheus/model/labels"
)

// pattern is a compiled regular expression with cancellation. Matching a text takes time proportional to its
// length times the size of the pattern, and package regexp polls no context. So a long text goes through a
// reader that polls the context, and that ends when the query is cancelled.
//
// Literals of the pattern rule out most texts before the automaton runs. Prometheus' matcher tests its literals
// text by text. In addition, one literal that every match must contain rules out texts for all texts of a View
// at once, if the query reads many.
type pattern struct {
	*regexp.Regexp
	size  int                          // in instructions, see check.Regexp
	fast  *promlabels.FastRegexMatcher // nil: none
	needs string                       // every match contains it; "" if unknown
	folds string                       // likewise, of ASCII in lower case, in any case
}

func newPattern(text string, re *regexp.Regexp, size int) *pattern {
	p := &pattern{Regexp: re, size: size}
	if fast, err := promlabels.NewFastRegexMatcher(text); err == nil {
		p.fast = fast
	}
	if tree, err := syntax.Parse(text, syntax.Perl|syntax.DotNL); err == nil {
		p.needs = longestOf(tree, exactly)
		if p.needs == "" {
			p.folds = longestOf(tree, folded)
		}
	}
	return p
}

// longestOf returns the longest literal of the tree that every match contains.
func longestOf(tree *syntax.Regexp, literal func(*syntax.Regexp) string) (longest string) {
	switch tree.Op {
	case syntax.OpLiteral:
		return literal(tree)
	case syntax.OpCapture, syntax.OpPlus:
		return longestOf(tree.Sub[0], literal)
	case syntax.OpRepeat:
		if tree.Min > 0 {
			return longestOf(tree.Sub[0], literal)
		}
	case syntax.OpConcat:
		for _, sub := range tree.Sub {
			if l := longestOf(sub, literal); len(l) > len(longest) {
				longest = l
			}
		}
	}
	return longest
}

// exactly is a literal whose case matters.
func exactly(literal *syntax.Regexp) string {
	if literal.Flags&syntax.FoldCase != 0 {
		return ""
	}
	return string(literal.Rune)
}

// folded returns the longest ASCII part of a literal.
func folded(literal *syntax.Regexp) (longest string) {
	for _, part := range strings.FieldsFunc(string(literal.Rune), func(r rune) bool { return r >= utf8.RuneSelf }) {
		if len(part) > len(longest) {
			longest = part
		}
	}
	return strings.ToLower(longest)
}

// mayContainFold reports whether text may have part, which is in lower case, in any
// case. A text beyond ASCII always may: some of its characters are k or s there.
func mayContainFold(text, part string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return true
		}
		if i+len(part) <= len(text) && lower(text[i]) == part[0] && equalFold(text[i:i+len(part)], part) {
			return true
		}
	}
	return false
}

func equalFold(text, part string) bool {
	for i := range len(part) {
		if lower(text[i]) != part[i] {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// stepWork is the number of steps of a regular expression that count as one row of work. longSteps is the
// number of steps that a text may need without a poll of the context.
const (
	stepWork  = 1 << 12
	longSteps = 1 << 20
)

func (p *pattern) work(text string) int { return 1 + len(text)*p.size/stepWork }

func (p *pattern) match(text string, poll *Poll) bool {
	if p.folds != "" && !mayContainFold(text, p.folds) {
		return false
	}
	if poll == nil || len(text)*p.size < longSteps { // Fast path: nearly always.
		if p.fast != nil {
			return p.fast.MatchString(text)
		}
		return p.MatchString(text)
	}
	return p.MatchReader(&polledText{text: text, each: 1 + p.size/16, poll: poll})
}

// polledText reads a text rune by rune until the query is cancelled.
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
