package main

import (
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	ruleInCode = regexp.MustCompile(`(?m)^// Rule (T\d+): `)
	ruleInList = regexp.MustCompile("(?m)^\\| (T\\d+) \\| .* \\| `([^`]+)` \\| `([^`]+)`: `([^`]+)` \\|$")
)

// TestTempoRules: docs/tempo-rules.md lists the rules of the files tempo*.go, each
// once, with the file where it is and a case that is there.
func TestTempoRules(t *testing.T) {
	t.Parallel()
	code := rulesInCode(t)
	text, err := os.ReadFile("docs/tempo-rules.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range ruleInList.FindAllStringSubmatch(string(text), -1) {
		rule, file, caseFile, want := m[1], m[2], m[3], m[4]
		if listed[rule] {
			t.Errorf("rule %s is listed twice", rule)
		}
		listed[rule] = true
		if code[rule] != file {
			t.Errorf("rule %s is in %q, the list says %s", rule, code[rule], file)
		}
		if !strings.Contains(readPossiblyZipped(t, caseFile), strings.ReplaceAll(want, `\|`, "|")) {
			t.Errorf("rule %s: %s has no case %q", rule, caseFile, want)
		}
	}
	for rule, file := range code {
		if !listed[rule] {
			t.Errorf("docs/tempo-rules.md does not list rule %s of %s", rule, file)
		}
	}
	if rows := strings.Count(string(text), "\n| T"); rows != len(listed) || rows < 20 {
		t.Errorf("%d rows begin with a rule, %d are well formed", rows, len(listed))
	}
}

// rulesInCode returns the file of each rule.
func rulesInCode(t *testing.T) map[string]string {
	code := map[string]string{}
	for _, dir := range []string{"traceql", "query", "api"} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range ruleInCode.FindAllStringSubmatch(string(text), -1) {
				path := filepath.ToSlash(path)
				if code[m[1]] != "" {
					t.Errorf("rule %s is in %s and in %s", m[1], code[m[1]], path)
				}
				if !strings.HasPrefix(filepath.Base(path), "tempo") {
					t.Errorf("rule %s is in %s, not in a file tempo*.go", m[1], path)
				}
				code[m[1]] = path
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return code
}

func readPossiblyZipped(t *testing.T, path string) string {
	f, err := os.Open(filepath.FromSlash(path))
	if err != nil {
		t.Error(err)
		return ""
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
