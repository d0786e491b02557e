package api_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestTagBoundsOfRequest(t *testing.T) {
	t.Parallel()
	h := newServer(loadSet(t, "small", time.Now().Unix()-480, 3))
	count := func(target string) int {
		w := get(h, target)
		var answer struct{ TagValues, TagNames []any }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != 200 {
			t.Fatalf("%s: %d %s (%v)", target, w.Code, w.Body, err)
		}
		return len(answer.TagValues) + len(answer.TagNames)
	}
	for _, target := range []string{"/api/v2/search/tag/name/values", "/api/search/tag/name/values", "/api/search/tags?scope=span"} {
		and := "?"
		if strings.Contains(target, "?") {
			and = "&"
		}
		all, two, stale := count(target), count(target+and+"limit=2"), count(target+and+"maxStaleValues=1")
		if two != 2 || all <= 2 || stale < 1 || stale > all {
			t.Errorf("%s: %d in all, %d with limit 2, %d with maxStaleValues 1", target, all, two, stale)
		}
		for parameter, text := range map[string]string{"maxStaleValues=-1": "invalid maxStaleValues", "limit=few": "invalid limit"} {
			if w := get(h, target+and+parameter); w.Code != 400 || !strings.Contains(w.Body.String(), text) {
				t.Errorf("%s with %s: %d %s, want 400 %s", target, parameter, w.Code, w.Body, text)
			}
		}
	}
}
