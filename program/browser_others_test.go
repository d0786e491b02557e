package program

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"etude/program/listen"
)

// TestBrowserAccessOfOthers holds the edge's dashboard and the start page of
// Prometheus to the rules that the page is held to, in both themes.
func TestBrowserAccessOfOthers(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("-short: the browser finds no races; the full run has this test")
	}
	findChromium(t)
	script := axe(t)
	d := startDemo(t)
	d.through("uservice3.localhost")
	for _, scheme := range []string{"light", "dark"} {
		b := openBrowser(t, 1440, 900)
		features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
			t.Fatal(err)
		}
		for _, p := range []struct {
			port        int
			path, shows string
		}{
			{listen.PortDashboard, "/dashboard/", `document.querySelector("main h2")`},
			{listen.PortPrometheus, "/", `document.querySelector("h1")`},
			{listen.PortPrometheus, "/targets", `document.querySelector("table")`},
			{listen.PortPrometheus, "/status", `document.querySelector("main h2")`},
		} {
			b.do("open "+p.path, chromedp.Navigate(d.url(p.port, p.path)))
			b.shows(p.path, p.shows)
			b.breaksNoRule(script, scheme+" "+p.path)
		}
	}
}
