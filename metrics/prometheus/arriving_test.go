package prometheus

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"etude/internal/testkit"
)

// TestArrivingIsBounded: half-sent requests hold bytes, not slots, and more of them are
// told to come again.
func TestArrivingIsBounded(t *testing.T) {
	t.Parallel()
	a := &arriving{}
	answered := 0
	h := a.whole(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || string(body) != "metrics" {
			t.Errorf("body %q, %v", body, err)
		}
		answered++
	})
	send := func(body io.Reader, length int64) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest("POST", "/api/v1/write", body), httptest.NewRecorder()
		r.ContentLength = length
		h(w, r)
		return w
	}
	first, feed := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		send(first, -1)
	}()
	testkit.Until(t, "the first request holds its bytes", func() bool { return a.bytes.Load() == maxRequestBody })
	if w := send(strings.NewReader("metrics"), 7); w.Code != http.StatusOK || answered != 1 {
		t.Errorf("beside one half-sent request: %d %s", w.Code, w.Body)
	}
	if w := send(strings.NewReader(""), maxRequestBody+1); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %d %s", w.Code, w.Body)
	}
	a.bytes.Add(maxRequestBody) // a second one
	if w := send(strings.NewReader("metrics"), 7); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || answered != 1 {
		t.Errorf("beside too many: %d %s", w.Code, w.Body)
	}
	if _, err := io.WriteString(feed, "metrics"); err != nil {
		t.Fatal(err)
	}
	_ = feed.Close()
	<-done
	if answered != 2 || a.bytes.Load() != maxRequestBody {
		t.Errorf("%d answered, %d bytes held", answered, a.bytes.Load())
	}
}
