package program

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"etude/program/listen"
)

// TestBrowserWithToken: a browser that has been given the token once, as a password,
// shows traces and metrics: every request of the page carries it.
func TestBrowserWithToken(t *testing.T) {
	t.Parallel()
	findChromium(t)
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte("query "+readToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	backend := startBackend(t, t.TempDir(), "--auth-token-file", tokens, "--auth-listeners", "api,page,prometheus")
	if !post(backend.otlpHTTP, traceOf([]byte("0123456789abcdef"), 3)) {
		t.Fatal("spans are refused, though only listeners that are read from want a token")
	}
	address := fmt.Sprintf("127.0.0.1:%d", listen.PortPage+backend.offset)
	if status, _ := get(t, "http://"+address+"/"); status != 401 {
		t.Errorf("the page without a token: %d", status)
	}
	b := openBrowser(t, 1200, 800)
	b.do("give the password", chromedp.Navigate("http://anybody:"+readToken+"@"+address+"/"))
	b.do("open Explore", chromedp.Navigate("http://"+address+"/explore?tab=traceql&q=%7B%7D"))
	b.shows("the trace", count(id("result-link"), 1))
	b.do("open it", chromedp.Click(id("result-link"), chromedp.NodeVisible))
	b.shows("its spans", count(id("span-row"), 3))
	b.clean()
}
