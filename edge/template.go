package edge

import (
	"fmt"
	"regexp"
	"strings"
)

// Templates are patterns of Traefik 2: text with variables, {name} or
// {name:pattern}, as in Path(`/orders/{id:[0-9]+}`). Traefik 3 would compare them
// as text, and match nothing.

// place is the matcher that uses a template. It decides what a variable without a pattern matches.
type place string

const (
	inHost  place = `[^.]+`
	inPath  place = `[^/]+`
	inQuery place = `.*`
)

// variableStart matches the beginning of a variable. It does not match regular expressions with counts ({2,3})
// or classes (\p{Greek}, \x{1F600}).
var variableStart = regexp.MustCompile(`(^|^[pPxu]|[^\\pPxu]|[^\\][pPxu])\{\s*[A-Za-z_]\w*\s*[:}]`)

func isTemplate(text string) bool { return variableStart.MatchString(text) }

// templatePattern turns a template into a regular expression, without anchors.
func templatePattern(text string, where place) (string, error) {
	var b strings.Builder
	for {
		literal, rest, found := strings.Cut(text, "{")
		if strings.Contains(literal, "}") {
			return "", fmt.Errorf("a } has no { before it")
		}
		if where == inPath {
			literal = routingPath(literal)
		}
		b.WriteString(regexp.QuoteMeta(literal))
		if !found {
			return b.String(), nil
		}
		end := closingBrace(rest)
		if end < 0 {
			return "", fmt.Errorf("a { has no } after it")
		}
		_, pattern, hasPattern := strings.Cut(rest[:end], ":")
		if !hasPattern {
			pattern = string(where)
		}
		if _, err := regexp.Compile(pattern); err != nil {
			return "", err
		}
		b.WriteString("(?:" + pattern + ")")
		text = rest[end+1:]
	}
}

// closingBrace returns the place of the } that ends a variable; its pattern may
// hold pairs of braces.
func closingBrace(text string) int {
	open := 0
	for i := range len(text) {
		switch text[i] {
		case '{':
			open++
		case '}':
			if open == 0 {
				return i
			}
			open--
		}
	}
	return -1
}

func checkTemplate(text string, where place) error {
	pattern, err := templatePattern(text, where)
	if err == nil {
		_, err = regexp.Compile("(?i)^" + pattern + "$")
	}
	if err != nil {
		return fmt.Errorf("read the template %q: %w", text, err)
	}
	return nil
}

// mustTemplate is for templates that have passed checkTemplate.
func mustTemplate(text string, where place) string {
	pattern, err := templatePattern(text, where)
	if err != nil {
		panic(err)
	}
	return pattern
}
