package mcp

import (
	"regexp"
	"strings"
	"testing"

	"etude/traceql/check"
	"etude/traceql/syntax"
)

var fence = regexp.MustCompile("(?s)```traceql\n(.*?)```")

// TestEveryExampleIsTraceQL reads the help texts: a line in a traceql block is a
// query, and must pass the parser and the checker.
func TestEveryExampleIsTraceQL(t *testing.T) {
	t.Parallel()
	for _, topic := range topics {
		text, err := help(topic.name)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, block := range fence.FindAllStringSubmatch(text, -1) {
			for line := range strings.Lines(block[1]) {
				n++
				q, err := syntax.Parse(strings.TrimSpace(line))
				if err == nil {
					err = check.Query(q)
				}
				if err != nil {
					t.Errorf("%s: %s: %v", topic.name, strings.TrimSpace(line), err)
				}
			}
		}
		if n < 8 {
			t.Errorf("%s has %d examples", topic.name, n)
		}
		if len(text) > 4<<10 {
			t.Errorf("%s is %d bytes long, which is not short", topic.name, len(text))
		}
	}
}

func TestUnknownTopicNamesTheOthers(t *testing.T) {
	t.Parallel()
	if _, err := help("../help/basic"); err == nil || !strings.Contains(err.Error(), "basic, aggregates, structural, metrics") {
		t.Error(err)
	}
}
