package edge

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestRules reads testdata/rules.txt: a rule, and below it requests with the
// expected answer.
func TestRules(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	var current rule
	cases := 0
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "rule "):
			if current, err = parseRule(strings.TrimPrefix(line, "rule ")); err != nil {
				t.Fatalf("line %d: %v", i+1, err)
			}
		default:
			cases++
			want, request, _ := strings.Cut(line, " ")
			req := newRequest(requestFrom(t, request))
			if got := map[bool]string{true: "yes", false: "no"}[current.match(&req)]; got != want {
				t.Errorf("line %d: rule %s, request %s: got %s, want %s", i+1, current.text, request, got, want)
			}
		}
	}
	if cases < 40 {
		t.Fatalf("only %d cases read", cases)
	}
}

// requestFrom reads "METHOD URL [Header=value]... [from=address]".
func requestFrom(t *testing.T, text string) *http.Request {
	t.Helper()
	fields := strings.Fields(text)
	r := httptest.NewRequest(fields[0], fields[1], nil)
	for _, field := range fields[2:] {
		key, value, _ := strings.Cut(field, "=")
		if key == "from" {
			r.RemoteAddr = value
			continue
		}
		r.Header.Add(key, value)
	}
	return r
}

// TestRuleErrors reads testdata/rule-errors.txt: rule, column, words of the
// message, one below the other.
func TestRuleErrors(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/rule-errors.txt")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(strings.TrimSpace(string(text)), "\n\n")
	for _, block := range blocks {
		lines := strings.Split(block, "\n")
		if len(lines) != 2 {
			t.Fatalf("block %q: want two lines", block)
		}
		column, words, _ := strings.Cut(lines[1], " ")
		_, err := parseRule(lines[0])
		var problem *ruleError
		if !errors.As(err, &problem) {
			t.Errorf("rule %s: got %v, want a rule error", lines[0], err)
			continue
		}
		if strconv.Itoa(problem.column) != column || !strings.Contains(problem.text, words) {
			t.Errorf("rule %s:\n got %d %s\nwant %s %s", lines[0], problem.column, problem.text, column, words)
		}
	}
}

func TestRuleErrorOnLaterLine(t *testing.T) {
	t.Parallel()
	_, err := parseRule("Host(`a`) &&\n  Hoost(`b`)")
	var problem *ruleError
	if !errors.As(err, &problem) || problem.line != 2 || problem.column != 3 {
		t.Fatalf("got %v, want line 2, column 3", err)
	}
	if !strings.HasPrefix(problem.Error(), "line 2, column 3: unknown matcher Hoost") {
		t.Errorf("message %q", problem.Error())
	}
}

func TestEmptyRule(t *testing.T) {
	t.Parallel()
	if _, err := parseRule(" \t"); err == nil || err.Error() != "column 1: the rule is empty" {
		t.Fatalf("got %v", err)
	}
}

func TestRuleLengthIsBounded(t *testing.T) {
	t.Parallel()
	_, err := parseRule("Path(`/" + strings.Repeat("a", maxRuleLength) + "`)")
	if err == nil || !strings.Contains(err.Error(), "more than the 16384 allowed") {
		t.Fatalf("got %v", err)
	}
}

func FuzzRule(f *testing.F) {
	for _, seed := range []string{
		"Host(`a.localhost`) || PathPrefix(`/a`)", "!Method(`GET`) && (Header(`A`, `b`) || Query(`c`))",
		"HostRegexp(`^[a-z]+$`)", "ClientIP(`10.0.0.0/8`, `::1`)", "Host(", "!!!", "Host(`a`...)", "((((", "Host(\"\\xff\")",
		"Path(`/a`) + 1", "func(){}", "a.b(`c`)", "Host(`a`)[0]", "Headers(`k`,`v`)\n&& path(`/`)",
	} {
		f.Add(seed)
	}
	req := newRequest(httptest.NewRequest(http.MethodGet, "http://a.localhost/a?c=1", nil))
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseRule(text)
		if err == nil {
			first := r.match(&req)
			if r.match(&req) != first {
				t.Error("the same rule and request gave two answers")
			}
			return
		}
		var problem *ruleError
		if !errors.As(err, &problem) {
			t.Fatalf("error %T without position: %v", err, err)
		}
		lines := strings.Split(text, "\n")
		if problem.line < 1 || problem.line > len(lines)+1 || problem.column < 1 {
			t.Errorf("position %d:%d outside of %q", problem.line, problem.column, text)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	r, err := parseRule("Host(`uservice3.localhost`) || PathPrefix(`/uservice3`)")
	if err != nil {
		b.Fatal(err)
	}
	req := httptest.NewRequest(http.MethodGet, "http://uservice3.localhost/x", nil)
	b.ReportAllocs()
	for b.Loop() {
		q := newRequest(req)
		if !r.match(&q) {
			b.Fatal("no match")
		}
	}
}
