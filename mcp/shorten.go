package mcp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A model cannot read half a JSON document well. So an answer that is too long loses entries of lists, and
// remains valid JSON. Each tool names its lists: first the list whose entries are whole results (traces,
// series), then the lists inside. Lists of one name (the spans of every service) are cut to the same length,
// which keeps some entries of each.

// shorten returns the text cut to at most limit bytes, and a note that describes the missing entries, or ""
// when none is missing. lists are JSON keys; "*" means every list.
func shorten(text []byte, limit int, lists ...string) (string, string) {
	if len(text) <= limit {
		return string(text), ""
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var root any
	if err := d.Decode(&root); err != nil {
		return cutText(text, limit)
	}
	var cuts []string
	for _, name := range lists {
		kept, all, out := cutLists(&root, name, limit)
		if kept < all {
			cuts = append(cuts, fmt.Sprintf("%d of %d %s", kept, all, entries(name)))
		}
		if out != nil {
			return string(out), fmt.Sprintf("Shortened to fit %d bytes: it holds %s.", limit, strings.Join(cuts, " and "))
		}
	}
	return cutText(text, limit)
}

func entries(name string) string {
	if name == "*" {
		return "list entries"
	}
	return name
}

// cutLists cuts the named lists to the greatest common length that fits, at least one. When even one entry does
// not fit, it leaves one in each list and out is nil.
func cutLists(root *any, name string, limit int) (kept, all int, out []byte) {
	longest := 0
	walkLists(*root, name, func(list []any) []any {
		all += len(list)
		longest = max(longest, len(list))
		return list
	})
	if longest == 0 {
		return 0, 0, nil
	}
	attempt := func(n int) []byte {
		kept = 0
		text, err := json.Marshal(cutCopy(*root, name, n, &kept))
		if err != nil || len(text) > limit {
			return nil
		}
		return text
	}
	// The greatest n that fits is in [low, high).
	low, high := 0, longest+1
	for high-low > 1 {
		if mid := (low + high) / 2; attempt(mid) != nil {
			low = mid
		} else {
			high = mid
		}
	}
	if out = attempt(max(low, 1)); out == nil {
		kept = 0
		*root = cutCopy(*root, name, 1, &kept)
	}
	return kept, all, out
}

// walkLists calls f for the outermost lists of that name.
func walkLists(v any, name string, f func([]any) []any) {
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			if list, ok := child.([]any); ok && (key == name || name == "*") {
				f(list)
				continue
			}
			walkLists(child, name, f)
		}
	case []any:
		for _, child := range v {
			walkLists(child, name, f)
		}
	}
}

// cutCopy copies v with the named lists cut to n entries, and adds the number of kept entries to kept. The copy
// shares values without such a list with v.
func cutCopy(v any, name string, n int, kept *int) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, child := range v {
			if list, ok := child.([]any); ok && (key == name || name == "*") {
				list = list[:min(n, len(list))]
				*kept += len(list)
				out[key] = list
				continue
			}
			out[key] = cutCopy(child, name, n, kept)
		}
		return out
	case []any:
		out := slices.Clone(v)
		for i, child := range v {
			out[i] = cutCopy(child, name, n, kept)
		}
		return out
	}
	return v
}

// cutText handles the remaining cases: a single entry that is too long, or a text that is not JSON.
func cutText(text []byte, limit int) (string, string) {
	end := limit
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return string(text[:end]), fmt.Sprintf("Cut off after %d of %d bytes, so it is not complete JSON.", end, len(text))
}
