package syntax

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// scanner splits a query into tokens. It reports errors by calling fail.
type scanner struct {
	src  string
	off  int // byte offset of the next character
	line int // counted from 1

	counted int // byte offset in this line up to which col counts
	col     int // number of characters before counted in this line
}

// scan returns all tokens of src; the last one is kEOF.
func scan(src string) []token {
	s := &scanner{src: src, line: 1}
	if !utf8.ValidString(src) {
		fail(s.pos(), "", "the query is not valid UTF-8")
	}
	var out []token
	for {
		t := s.next()
		out = append(out, t)
		if t.kind == kEOF {
			return out
		}
	}
}

// pos continues from the last position, so that computing the positions of all tokens counts a long line only
// once.
func (s *scanner) pos() Pos {
	s.col += utf8.RuneCountInString(s.src[s.counted:s.off])
	s.counted = s.off
	return Pos{Offset: s.off, Line: s.line, Col: s.col + 1}
}

// peek returns the character n bytes ahead, or 0 at the end.
func (s *scanner) peek(n int) byte {
	if s.off+n < len(s.src) {
		return s.src[s.off+n]
	}
	return 0
}

func (s *scanner) remaining() string { return s.src[s.off:] }

// advance skips n bytes and counts lines.
func (s *scanner) advance(n int) {
	for i := s.off; i < s.off+n; i++ {
		if s.src[i] == '\n' {
			s.line++
			s.counted, s.col = i+1, 0
		}
	}
	s.off += n
}

func (s *scanner) next() token {
	s.skipBlank()
	pos := s.pos()
	if s.off == len(s.src) {
		return token{kind: kEOF, pos: pos}
	}
	switch c := s.peek(0); {
	case c == '"' || c == '`':
		return s.text(pos)
	case isDigit(c) || c == '.' && isDigit(s.peek(1)):
		return s.number(pos)
	case c == '.':
		s.advance(1)
		return s.attribute(pos, Attr{Scope: ScopeNone})
	}
	if word := leadingWord(s.remaining()); word != "" {
		return s.word(pos, word)
	}
	return s.operator(pos)
}

// skipBlank skips white space and comments.
func (s *scanner) skipBlank() {
	for {
		switch text := s.remaining(); {
		case text == "":
			return
		case isBlank(text[0]):
			s.advance(1)
		case strings.HasPrefix(text, "//"):
			n := strings.IndexByte(text, '\n')
			if n < 0 {
				n = len(text)
			}
			s.advance(n)
		case strings.HasPrefix(text, "/*"):
			n := strings.Index(text[2:], "*/")
			if n < 0 {
				fail(s.pos(), "", "comment is not closed: expected */")
			}
			s.advance(n + 4)
		default:
			return
		}
	}
}

// word scans a keyword or identifier, or the scope prefix that it begins.
func (s *scanner) word(pos Pos, word string) token {
	s.advance(len(word))
	switch scope, dotted := dotScopes[word]; {
	case s.peek(0) == '.' && dotted:
		s.advance(1)
		return s.attribute(pos, Attr{Scope: scope})
	case s.peek(0) == '.' && word == "parent":
		s.advance(1)
		return s.attribute(pos, s.parentScope())
	case s.peek(0) == ':' && colonScopes[word]:
		s.advance(1)
		return token{kind: kScope, text: word + ":", str: word, pos: pos}
	}
	return token{kind: kWord, text: word, pos: pos}
}

// parentScope scans the second scope that may follow `parent.`.
func (s *scanner) parentScope() Attr {
	a := Attr{Scope: ScopeNone, Parent: true}
	for _, word := range []string{"span", "resource"} {
		if strings.HasPrefix(s.remaining(), word+".") {
			s.advance(len(word) + 1)
			a.Scope = dotScopes[word]
			break
		}
	}
	return a
}

// attribute scans a raw name: up to a terminator, with quoted parts verbatim.
func (s *scanner) attribute(pos Pos, a Attr) token {
	start, quoted := s.off, false
	var name strings.Builder
	for s.off < len(s.src) && !endsName(s.peek(0)) {
		if s.peek(0) == '"' {
			s.quotedPart(&name)
			quoted = true
			continue
		}
		_, n := utf8.DecodeRuneInString(s.remaining())
		name.WriteString(s.src[s.off : s.off+n])
		s.advance(n)
	}
	if s.off == start && !quoted {
		fail(s.pos(), "no blank may follow the dot", "expected an attribute name after %q", s.src[pos.Offset:start])
	}
	a.Name = name.String()
	return token{kind: kAttr, text: s.src[pos.Offset:s.off], pos: pos, str: a.Name, attr: a}
}

// quotedPart scans "..." inside an attribute name into name.
func (s *scanner) quotedPart(name *strings.Builder) {
	open := s.pos()
	for s.advance(1); s.off < len(s.src); s.advance(1) {
		switch c := s.peek(0); {
		case c == '"':
			s.advance(1)
			return
		case c == '\\' && (s.peek(1) == '"' || s.peek(1) == '\\'):
			s.advance(1)
			name.WriteByte(s.peek(0))
		case c == '\\':
			fail(s.pos(), `only \" and \\ are known here`, "unknown escape in a quoted attribute name")
		default:
			name.WriteByte(c)
		}
	}
	fail(open, "", "quoted attribute name is not closed: expected \"")
}

// text scans a string literal: "..." with Go's escapes, or raw `...`.
func (s *scanner) text(pos Pos) token {
	quote, start := s.peek(0), s.off
	for s.advance(1); s.off < len(s.src); s.advance(1) {
		switch c := s.peek(0); {
		case c == quote:
			s.advance(1)
			return token{kind: kString, text: s.src[start:s.off], str: unquote(pos, s.src[start:s.off]), pos: pos}
		case c == '\n' && quote == '"':
			fail(pos, "use `...` for text of several lines", "string is not closed before the end of the line")
		case c == '\\' && quote == '"' && s.peek(1) != '\n' && s.off+1 < len(s.src):
			s.advance(1)
		}
	}
	fail(pos, "", "string is not closed: expected %c", quote)
	panic("unreachable")
}

func unquote(pos Pos, text string) string {
	if text[0] == '`' {
		return text[1 : len(text)-1]
	}
	v, err := strconv.Unquote(text)
	if err != nil {
		fail(pos, "escapes are those of Go; use `...` for raw text", "invalid escape in string %s", text)
	}
	return v
}

// operator scans the longest punctuation token.
func (s *scanner) operator(pos Pos) token {
	best := ""
	for n := 1; n <= 3 && s.off+n <= len(s.src); n++ {
		if text := s.src[s.off : s.off+n]; operators[text] {
			best = text
		} else if n > 1 || text != "&" {
			break
		}
	}
	if best == "" {
		s.badCharacter(pos)
	}
	s.advance(len(best))
	return token{kind: kind(best), text: best, pos: pos}
}

func (s *scanner) badCharacter(pos Pos) {
	r, _ := utf8.DecodeRuneInString(s.remaining())
	hint := ""
	switch r {
	case '&':
		hint = "write && for and"
	case '\'':
		hint = "write strings in double quotes"
	case '[':
		hint = "write = several times with ||, or =~ \"a|b\""
	case ';':
		hint = "a query has no end mark"
	}
	fail(pos, hint, "unexpected character %q", r)
}

func leadingWord(src string) string {
	for i, r := range src {
		if r == '_' || unicode.IsLetter(r) || i > 0 && unicode.IsDigit(r) {
			continue
		}
		return src[:i]
	}
	return src
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// endsName reports whether c cannot be part of a bare attribute name.
func endsName(c byte) bool {
	return isBlank(c) || strings.IndexByte("{}()=~!<>&|^,", c) >= 0
}
