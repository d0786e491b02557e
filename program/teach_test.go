package program

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"etude/program/listen"

	lessons "etude/services"
)

// ask sends JSON to the page's port, as the page does.
func (d *demo) ask(method, path, body string, header ...string) (status int, answer string) {
	d.t.Helper()
	req, err := http.NewRequest(method, d.url(listen.PortPage, path), strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return do(d.t, req)
}

// TestWalkRequest follows a request of the page by the lines of the services to
// its trace.
func TestWalkRequest(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	stream, err := visitor.Get(d.url(listen.PortPage, "/api/etude/lines"))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	if kind := stream.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Fatalf("the lines come as %q", kind)
	}
	events := bufio.NewScanner(stream.Body)
	next := func() (batch struct {
		Lines []struct{ Part, Text string }
		Lost  uint64
	}) {
		for events.Scan() {
			if text, ok := strings.CutPrefix(events.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(text), &batch); err != nil {
					t.Fatal(err)
				}
				return batch
			}
		}
		t.Fatalf("the lines end: %v", events.Err())
		return batch
	}
	if first := next(); len(first.Lines) != 0 {
		t.Errorf("lines from before the reader came: %+v", first.Lines)
	}

	status, body := d.ask("POST", "/api/etude/walk", `{"service":"uservice3","id":"walk-7"}`)
	var answer struct {
		Status     int
		Start, End int64
		Body       string
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	if answer.Status != http.StatusOK || !strings.Contains(answer.Body, "Hello, World!") || answer.End <= answer.Start {
		t.Errorf("the request ended so: %+v", answer)
	}
	var parts []string
	var text strings.Builder
	for !strings.Contains(text.String(), "uservice3 </html>") {
		for _, l := range next().Lines {
			fmt.Fprintf(&text, "%s %s\n", l.Part, l.Text)
			if !slices.Contains(parts, l.Part) {
				parts = append(parts, l.Part)
			}
		}
	}
	slices.Sort(parts) // the lines of two processes come in any order
	if !slices.Equal(parts, []string{"uservice3", "uservice4"}) {
		t.Errorf("lines of %v, want those of uservice3 and uservice4", parts)
	}
	if !regexp.MustCompile(`uservice3 +"x-request-id": "walk-7"`).MatchString(text.String()) {
		t.Error("uservice3 has not printed the id of the request")
	}
	id := d.findTrace(t, "uservice4", 7)
	if !strings.Contains(text.String(), id) {
		t.Errorf("no line has the id of the trace %s:\n%s", id, text.String())
	}
	d.interrupt() // with a reader of lines: it does not hold up the end
}

func TestWalkRefusals(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	good := `{"service":"uservice1","id":"a"}`
	for _, tt := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		says                     string
	}{
		{"another site's page", "POST", "/api/etude/walk", good, []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403, "another site"},
		{"another port of this machine", "POST", "/api/etude/walk", good, []string{"Sec-Fetch-Site", "same-site", "Origin", "http://localhost:1"}, 403, "another site"},
		{"what a form can send", "POST", "/api/etude/walk", good, []string{"Content-Type", "text/plain"}, 400, "want application/json"},
		{"another service", "POST", "/api/etude/walk", `{"service":"169.254.169.254","id":"a"}`, nil, 400, "want uservice1 to uservice4"},
		{"an id with a line end", "POST", "/api/etude/walk", `{"service":"uservice1","id":"a\r\nHost: x"}`, nil, 400, "want 1 to 40"},
		{"an unknown field", "POST", "/api/etude/walk", `{"service":"uservice1","id":"a","url":"x"}`, nil, 400, "unknown field"},
		{"too long", "POST", "/api/etude/walk", `{"id":"` + strings.Repeat("a", 16<<10) + `"}`, nil, 400, "too large"},
		{"a GET", "GET", "/api/etude/walk", "", nil, 404, ""},
		{"no route", "GET", "/api/etude/nothing", "", nil, 404, ""},
		{"no service to read", "GET", "/api/etude/source/uservice9", "", nil, 404, "want uservice1 to uservice4"},
		{"a path for a service", "GET", "/api/etude/source/..%2Fsource", "", nil, 404, "want uservice1 to uservice4"},
	} {
		if status, body := d.ask(tt.method, tt.path, tt.body, tt.header...); status != tt.status || !strings.Contains(body, tt.says) {
			t.Errorf("%s: %d %q, want %d and %q", tt.name, status, body, tt.status, tt.says)
		}
	}
}

func TestBackendAloneSaysWhatToStart(t *testing.T) {
	t.Parallel()
	b := startBackend(t, t.TempDir())
	page := fmt.Sprintf("http://127.0.0.1:%d", listen.PortPage+b.offset)
	if _, info := get(t, page+"/etude.json"); !strings.Contains(info, `"walk":false`) {
		t.Errorf("etude.json says %s", info)
	}
	for _, path := range []string{"/api/etude/lines", "/api/etude/switches"} {
		if status, body := get(t, page+path); status != http.StatusNotFound || !strings.Contains(body, "Start: etude up") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, _ := get(t, page+"/api/etude/source/uservice3"); status != http.StatusOK {
		t.Errorf("the source needs no demo, and yet: %d", status)
	}
}

// TestCodeBesideSpan holds what the source says of spans to the spans of a real
// request: each attribute, event and status has its line, and the line has it.
func TestCodeBesideSpan(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	d.through("uservice3.localhost")
	data := traceByID(t, d.url(listen.PortAPI, ""), d.findTrace(t, "uservice4", 7))
	var seen int
	for _, rs := range data.ResourceSpans {
		service := attr(rs.Resource.Attributes, "service.name")
		if service == "edge" {
			continue
		}
		status, body := get(t, d.url(listen.PortPage, "/api/etude/source/"+service))
		var lesson lessons.Lesson
		if err := json.Unmarshal([]byte(body), &lesson); err != nil || status != http.StatusOK {
			t.Fatalf("the source of %s: %d %s", service, status, body)
		}
		check := func(marks []lessons.Mark, kind, name, of string) {
			t.Helper()
			i := slices.IndexFunc(marks, func(m lessons.Mark) bool { return m.Kind == kind && m.Name == name && m.Of == of })
			if i < 0 {
				t.Errorf("%s: no line for %s %q of %q", service, kind, name, of)
			} else if line := lesson.Lines[marks[i].Line-1]; kind != "resource" && name != "" && !strings.Contains(line, `"`+name+`"`) {
				t.Errorf("%s: line %d has no %q: %s", service, marks[i].Line, name, line)
			}
			seen++
		}
		for _, kv := range rs.Resource.Attributes {
			check(lesson.Setup, "resource", kv.Key, "")
		}
		for _, ss := range rs.ScopeSpans {
			check(lesson.Setup, "scope", ss.Scope.Name, "")
			for _, s := range ss.Spans {
				marks := lesson.Spans[s.Name].Marks
				check(marks, "start", s.Name, "")
				check(marks, "end", "", "")
				for _, kv := range s.Attributes {
					check(marks, "attribute", kv.Key, "")
				}
				for _, e := range s.Events {
					check(marks, "event", e.Name, "")
					for _, kv := range e.Attributes {
						check(marks, "attribute", kv.Key, e.Name)
					}
				}
				if message := s.Status.GetMessage(); message != "" {
					check(marks, "status", message, "")
				}
				if s.Name == "handle_incoming_call" {
					check(marks, "kind", "", "")
					check(marks, "parent", "", "")
				}
			}
		}
	}
	if seen < 25 {
		t.Errorf("only %d things were checked", seen)
	}
}
