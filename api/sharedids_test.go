package api_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"etude/trace"
)

// TestSharedSpanIDs asks for a trace as Zipkin's clients send it: both ends of a
// call under one id.
func TestSharedSpanIDs(t *testing.T) {
	t.Parallel()
	span := func(id, parent, name string, kind, start int) map[string]any {
		return map[string]any{
			"traceId": strings.Repeat("0", 31) + "7", "spanId": id, "parentSpanId": parent, "name": name, "kind": kind,
			"startTimeUnixNano": fmt.Sprint(1_700_000_000_000_000_000 + start), "endTimeUnixNano": fmt.Sprint(1_700_000_000_000_000_100),
			"events": []any{map[string]any{"name": "kept"}},
		}
	}
	const root, call, work = "00000000000000a1", "00000000000000b2", "0000000000000001"
	table := trace.NewTable()
	appendJSON(t, table, map[string]any{"resourceSpans": []any{map[string]any{"scopeSpans": []any{map[string]any{"spans": []any{
		span(root, "", "root", 2, 0),
		span(call, root, "call client", 3, 1),
		span(call, root, "call server", 2, 2),
		span(work, call, "work", 1, 3),
	}}}}}})
	w := get(newServer(views{table.View()}), "/api/v2/traces/7")
	var answer struct {
		Trace struct {
			ResourceSpans []struct {
				ScopeSpans []struct {
					Spans []struct {
						SpanID, ParentSpanID, Name string
						Events                     []any
					}
				}
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	var got []string
	for _, s := range answer.Trace.ResourceSpans[0].ScopeSpans[0].Spans {
		got = append(got, fmt.Sprintf("%s: %s under %s, %d event", s.Name, hexID(s.SpanID), hexID(s.ParentSpanID), len(s.Events)))
	}
	want := []string{
		"root: 00000000000000a1 under , 1 event",
		"call client: 00000000000000b2 under 00000000000000a1, 1 event",
		"call server: 0000000000000002 under 00000000000000b2, 1 event", // 1 is taken
		"work: 0000000000000001 under 0000000000000002, 1 event",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func hexID(base64Text string) string {
	raw, _ := base64.StdEncoding.DecodeString(base64Text)
	return hex.EncodeToString(raw)
}
