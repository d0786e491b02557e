package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestDeadlinesOutliveTheRequest: a stream's handler may go on when its HTTP request
// has ended, and net/http's writer panics then.
func TestDeadlinesOutliveTheRequest(t *testing.T) {
	t.Parallel()
	var d *deadlines
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		d = &deadlines{w: w}
		defer d.end()
		d.read(time.Now().Add(time.Minute))
		d.write(time.Now().Add(time.Minute))
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Errorf("HTTP/%d, want 2", resp.ProtoMajor)
	}
	srv.Close() // the handler has returned
	d.read(time.Now())
	d.write(time.Now())
}
