package mcp

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestShorten(t *testing.T) {
	t.Parallel()
	items := strings.Repeat(`{"id":1},`, 99) + `{"id":1}`
	for _, c := range []struct {
		name, text  string
		limit       int
		lists       []string
		want, notes string // of the text: what it starts with
	}{
		{"fits", `{"traces":[1,2]}`, 16, []string{"traces"}, `{"traces":[1,2]}`, ""},
		{"list", `{"traces":[1,2,3,4]}`, 16, []string{"traces"}, `{"traces":[1,2]}`, "2 of 4 traces"},
		{"same length", `{"a":{"s":[1,2,3]},"b":{"s":[1,2,3]}}`, 31, []string{"s"}, `{"a":{"s":[1,2]},"b":{"s":[1]}}`, ""},
		{"first list does", `{"series":[` + items + `],"n":[1,2]}`, 200, []string{"series", "n"}, `{"n":[1,2],"series":[`, "of 100 series"},
		{"inner list", `{"series":[{"samples":[` + items + `]}]}`, 100, []string{"series", "samples"}, `{"series":[{"samples":[{"id":1}`, "of 100 samples"},
		{"both", `{"series":[{"samples":[` + items + `]},{"samples":[]}]}`, 100, []string{"series", "samples"}, `{"series":[{"samples":[{"id":1}`, "1 of 2 series and"},
		{"any list", `{"x":[1,2,3,4],"y":{"z":[5,6,7,8]}}`, 25, []string{"*"}, `{"x":[1,2],"y":{"z":[5,6]}}`, ""},
		{"long text", `{"traces":["` + strings.Repeat("ü", 50) + `"]}`, 40, []string{"traces"}, `{"traces":["ü`, "not complete JSON"},
		{"no JSON", strings.Repeat("help ", 20), 12, nil, "help help he", "Cut off after 12 of 100 bytes"},
		{"big numbers", `{"traces":["12345678901234567890",12345678901234567890,3]}`, 56, []string{"traces"}, `{"traces":["12345678901234567890",12345678901234567890]}`, "2 of 3"},
	} {
		got, note := shorten([]byte(c.text), c.limit, c.lists...)
		if len(got) > c.limit {
			t.Errorf("%s: %d bytes, more than %d", c.name, len(got), c.limit)
		}
		if c.name == "same length" || c.name == "any list" {
			checkEven(t, c.name, got)
			continue
		}
		if !strings.HasPrefix(got, c.want) || !strings.Contains(note, c.notes) || (note == "") != (c.notes == "") {
			t.Errorf("%s: %s, note %q", c.name, got, note)
		}
	}
}

// checkEven reports whether lists were cut to one length, at least one.
func checkEven(t *testing.T, name, text string) {
	t.Helper()
	var root any
	if err := json.Unmarshal([]byte(text), &root); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	lengths := map[int]bool{}
	walkLists(root, "*", func(list []any) []any { lengths[len(list)] = true; return list })
	if len(lengths) != 1 || lengths[0] || lengths[3] {
		t.Errorf("%s: lengths %v in %s", name, lengths, text)
	}
}

func FuzzShorten(f *testing.F) {
	f.Add([]byte(`{"traces":[{"spans":[1,2,3]},{"spans":["é"]}]}`), 20)
	f.Add([]byte(`[[[[1,2,3]]]]`), 3)
	f.Add([]byte("not\xffjson"), 4)
	f.Fuzz(func(t *testing.T, text []byte, limit int) {
		if limit < 0 || limit > 1<<16 {
			return
		}
		got, note := shorten(text, limit, "traces", "spans", "*")
		if len(got) > limit || note == "" && got != string(text) || utf8.Valid(text) && !utf8.ValidString(got) {
			t.Errorf("%q limited to %d: %q, %q", text, limit, got, note)
		}
	})
}
