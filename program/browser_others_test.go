package program

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"etude/program/listen"
)

// TestBrowserAccessOfOthers holds the edge's dashboard and the start page of
// Prometheus to the rules that the page is held to, in both themes, in forced
// colours, and on a phone.
func TestBrowserAccessOfOthers(t *testing.T) {
	t.Parallel()
	findChromium(t)
	script := axe(t)
	d := startDemo(t)
	d.through("uservice3.localhost")
	for _, look := range []struct {
		scheme, forced string
		width, height  int64
	}{{"light", "none", 1440, 900}, {"dark", "none", 1440, 900}, {"dark", "active", 1440, 900}, {"light", "none", 390, 844}} {
		b := openBrowser(t, look.width, look.height)
		features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}, {Name: "forced-colors", Value: look.forced}}
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
			t.Fatal(err)
		}
		for _, p := range []struct {
			port        int
			path, shows string
		}{
			{listen.PortDashboard, "/dashboard/", count(id("routers")+" tbody tr", 4)},
			{listen.PortPrometheus, "/", `document.querySelector("h1")`},
			{listen.PortPrometheus, "/targets", `document.querySelector("table")`},
			{listen.PortPrometheus, "/status", `document.querySelector("main h2")`},
		} {
			b.do("open "+p.path, chromedp.Navigate(d.url(p.port, p.path)))
			b.shows(p.path, p.shows)
			b.breaksNoRule(script, fmt.Sprintf("%s, forced colours %s, %d pixels wide: %s", look.scheme, look.forced, look.width, p.path))
		}
		b.clean()
	}
}

// TestBrowserDashboard reads the edge's dashboard, by mouse and by keyboard, while
// requests come and when the edge does not answer.
func TestBrowserDashboard(t *testing.T) {
	t.Parallel()
	findChromium(t)
	d := startDemo(t)
	d.through("uservice3.localhost")
	r, err := http.Get(d.url(listen.PortEdge, "/nobody"))
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Body.Close()
	if r.StatusCode != http.StatusNotFound {
		t.Fatalf("a path of no router was answered with %s", r.Status)
	}
	for _, size := range []struct{ width, height int64 }{{1440, 900}, {390, 844}} {
		t.Run(fmt.Sprintf("%dx%d", size.width, size.height), func(t *testing.T) {
			b := openBrowser(t, size.width, size.height)
			b.do("open the dashboard", chromedp.Navigate(d.url(listen.PortDashboard, "/")))
			b.shows("the address that / leads to", `location.pathname === "/dashboard/"`)
			b.readsRouters(d)
			b.usesDashboardKeys()
			b.seesNoAnswer()
			b.clean()
		})
	}
}

// readsRouters finds the counts of the requests so far, and that one more is counted without a reload.
func (b *browser) readsRouters(d *demo) {
	b.t.Helper()
	b.shows("four routers", count(id("routers")+" tbody tr", 4))
	row := `[...document.querySelectorAll('[data-testid="routers"] tbody tr')].find(tr => tr.innerText.startsWith("uservice3@file"))`
	for _, want := range []string{"Host(`uservice3.localhost`)", "2xx"} {
		b.shows(want, row+fmt.Sprintf(`.innerText.includes(%q)`, want))
	}
	b.shows("the link of the host", fmt.Sprintf(`%s.querySelector("code a").href === "http://uservice3.localhost:%d/"`, row, listen.PortEdge+d.offset))
	b.shows("the request without a router among the answers of the entry point", has("#entry-web", "4xx 1"))
	b.shows("healthy servers", has("#service-uservice4", "healthy"))
	total := fmt.Sprintf(`parseInt(document.querySelector(%q).innerText)`, id("total"))
	before := eval[int](b, total)
	d.through("uservice3.localhost")
	b.shows("one more request", fmt.Sprintf("%s === %d", total, before+1))
	b.shows("the request in words for the bars", row+`.querySelector("svg").ariaLabel.match(/^[1-9]\d* requests in the last minute, 0 failed/)`)
	b.shows("the table behind the bars", fmt.Sprintf(`(table => (table.open = true, table.querySelectorAll("th[scope=row]").length === 60))(%s.querySelector(%q))`, row, id("chart-table")))
	b.shows("the table closed", fmt.Sprintf(`(table => (table.open = false, !table.querySelector("tr")))(%s.querySelector(%q))`, row, id("chart-table")))
}

// usesDashboardKeys goes past the head, to a service, and to the table behind the bars, by keys.
func (b *browser) usesDashboardKeys() {
	b.t.Helper()
	b.tabTo(".skip")
	b.do("skip the head", chromedp.KeyEvent(kb.Enter))
	b.shows("the content reached", `document.activeElement.matches("main")`)
	b.tabTo(id("chart-table") + " summary")
	b.do("open the table", chromedp.KeyEvent(kb.Enter))
	b.shows("sixty seconds", count(id("chart-table")+" tbody tr", 60))
	b.shows("as many requests as the tile says", fmt.Sprintf(`/, ([1-9]\d*) in the last minute/.exec(document.querySelector(%q).innerText)?.[1] === String([...document.querySelectorAll(%q)].reduce((sum, td) => sum + Number(td.innerText), 0))`, id("total"), id("chart-table")+" td:nth-of-type(1)"))
	b.tabTo(`a[href="#service-uservice3"]`)
	b.do("go to the service", chromedp.KeyEvent(kb.Enter))
	b.shows("the service", `document.activeElement.matches("#service-uservice3")`)
	background := "getComputedStyle(document.documentElement).backgroundColor"
	before := eval[string](b, background)
	b.do("change the theme", chromedp.Click(id("theme-toggle"), chromedp.NodeVisible))
	b.shows("the other theme", fmt.Sprintf("%s !== %q", background, before))
}

// seesNoAnswer cuts the page off from the edge, and lets it back.
func (b *browser) seesNoAnswer() {
	b.t.Helper()
	b.do("cut it off", chromedp.Evaluate[chromedp.Void](`window.realFetch = window.fetch; window.fetch = () => Promise.reject(new Error("cut off")); void 0`))
	b.shows("that the edge does not answer", has(id("uptime"), "no answer from the edge"))
	b.shows("the same for a screen reader", `[...document.querySelectorAll("[role=status]")].some(e => e.textContent.includes("The figures are old"))`)
	b.do("let it back", chromedp.Evaluate[chromedp.Void](`window.fetch = window.realFetch; void 0`))
	b.shows("that it answers again", has(id("uptime"), "up "))
}
