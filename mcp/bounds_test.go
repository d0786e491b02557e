package mcp_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"etude/mcp"
)

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`

// post sends one message to the handler, in a session unless that is "".
func post(h http.Handler, session, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "http://localhost/api/mcp", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if session != "" {
		r.Header.Set("Mcp-Session-Id", session)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestSessionsAreBounded begins as many sessions as there may be. The next one is
// refused while all are in use, and takes the place of the idlest afterwards.
func TestSessionsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const most = 256
		h := mcp.Handler(&fakeAPI{status: 200, body: `{}`}, mcp.Options{})
		var ids []string
		begin := func() int {
			w := post(h, "", initialize)
			if id := w.Header().Get("Mcp-Session-Id"); id != "" {
				ids = append(ids, id)
			}
			return w.Code
		}
		for range most {
			if code := begin(); code != http.StatusOK {
				t.Fatalf("session %d: status %d", len(ids), code)
			}
		}
		if code := begin(); code != http.StatusServiceUnavailable {
			t.Errorf("one session more: status %d, want 503", code)
		}
		time.Sleep(2 * time.Minute) // of the test's own clock
		const ping = `{"jsonrpc":"2.0","id":2,"method":"ping"}`
		for _, id := range ids[1:] {
			if w := post(h, id, ping); w.Code != http.StatusOK {
				t.Fatalf("ping: status %d, %s", w.Code, w.Body)
			}
		}
		if code := begin(); code != http.StatusOK {
			t.Errorf("a session when one is idle: status %d", code)
		}
		if w := post(h, ids[0], ping); w.Code != http.StatusNotFound {
			t.Errorf("the idle session: status %d, want 404", w.Code)
		}
		if w := post(h, ids[1], ping); w.Code != http.StatusOK {
			t.Errorf("a session in use: status %d", w.Code)
		}
		time.Sleep(time.Hour) // all end
		for range most {
			if code := begin(); code != http.StatusOK {
				t.Fatalf("after an hour: status %d", code)
			}
		}
		time.Sleep(time.Hour)
	})
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	h := mcp.Handler(&fakeAPI{status: 200, body: `{}`}, mcp.Options{})
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":%q}}`, strings.Repeat("x", 2<<20))
	if w := post(h, "", body); w.Code < 400 || w.Code >= 500 {
		t.Errorf("2 MiB: status %d, want a refusal", w.Code)
	}
}

// TestAnswerCutOff has the API abort its answer, as it does when a query has used
// up its time: the tool fails, and nothing else does.
func TestAnswerCutOff(t *testing.T) {
	t.Parallel()
	cut := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"trace":{`))
		panic(http.ErrAbortHandler)
	})
	s := connect(t, cut, mcp.Options{})
	r, texts := call(t, s, "get-trace", map[string]any{"trace_id": "1"})
	if !r.IsError || !strings.Contains(texts[0], "cut off") {
		t.Errorf("error %t, %q", r.IsError, texts)
	}
}

// TestLargeTraceIsAskedForInParts: the first answers are too large.
func TestLargeTraceIsAskedForInParts(t *testing.T) {
	t.Parallel()
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("maxSpans") != "40" {
			for range 9 << 10 {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		}
		_, _ = w.Write([]byte(`{"trace":{"spans":[]}}`))
	})
	r, texts := call(t, connect(t, api, mcp.Options{}), "get-trace", map[string]any{"trace_id": "1"})
	if r.IsError || !strings.HasPrefix(texts[0], `{"trace"`) {
		t.Errorf("error %t, %q", r.IsError, texts)
	}
}
