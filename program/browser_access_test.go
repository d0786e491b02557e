package program

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"etude/program/listen"

	downloads "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// axe is the rule engine for accessibility, out of the page's packages.
func axe(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile(filepath.FromSlash("../page/node_modules/axe-core/axe.min.js"))
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal("CI tests accessibility, and axe-core is not there: ", err)
	}
	if err != nil {
		t.Skip("axe-core is not there: accessibility is not tested (cd page && npm ci)")
	}
	return string(script)
}

func TestBrowserAccess(t *testing.T) {
	t.Parallel()
	findChromium(t)
	script := axe(t)
	d := startDemo(t)
	d.through("uservice3.localhost")
	trace := d.findTrace(t, "uservice4", 7)
	comparison := "/compare?before=" + trace + "&after=%7B%7D"
	pages := []struct{ path, shows string }{
		{"/", `document.querySelector("main h1")`},
		{"/explore", count(id("result-link"), 1)},
		{"/explore?tab=traceql&q=%7B%7D", count(id("result-link"), 1)},
		{"/explore?tab=json", `document.querySelector(".drop")`},
		{"/explore?trace=" + trace, count(id("span-row"), 7)},
		{"/trace/" + trace + "?find=database", count(id("span-row"), 7)},
		{"/trace/" + trace + "?view=table", count(id("table-row"), 7)},
		{"/trace/" + trace + "?view=flame", count(id("flame")+" canvas", 1)},
		{"/trace/" + trace + "?view=sequence", count(id("sequence")+" svg", 1)},
		{"/compare", `document.querySelector("main h2")`},
		{comparison, count(id("comparison"), 1)},
		{"/trace/" + trace + "?view=services", count(id("services-summary"), 1)},
	}
	for _, look := range []struct{ scheme, forced string }{{"light", "none"}, {"dark", "none"}, {"dark", "active"}} {
		t.Run(look.scheme+" "+look.forced, func(t *testing.T) {
			b := openBrowser(t, 1440, 900)
			features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: look.scheme}, {Name: "forced-colors", Value: look.forced}}
			if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
				t.Fatal(err)
			}
			for _, p := range pages {
				b.do("open "+p.path, chromedp.Navigate(d.url(listen.PortPage, p.path)))
				b.shows(p.path, p.shows)
				b.breaksNoRule(script, p.path)
			}
			b.do("open the trace", chromedp.Navigate(d.url(listen.PortPage, "/trace/"+trace)))
			b.shows("its rows", count(id("span-row"), 7))
			b.openSpan("redis_call")
			b.shows("the details", count(id("span-details"), 1))
			b.breaksNoRule(script, "the details of a span")
			b.clean()
		})
	}
}

// breaksNoRule runs the rules of WCAG 2.1 A and AA over the page.
func (b *browser) breaksNoRule(axe, what string) {
	b.t.Helper()
	eval[bool](b, axe+`; window.broken = undefined; axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}).then(r => window.broken = r.violations.map(v => v.id + ": " + v.nodes.slice(0, 3).map(n => n.target.join(" ")).join(", "))); true`)
	b.shows("what axe says", "window.broken !== undefined")
	for _, rule := range eval[[]string](b, "window.broken") {
		b.t.Errorf("%s breaks %s", what, rule)
	}
}

// TestBrowserShare saves a trace as one HTML file and opens it without a
// server.
func TestBrowserShare(t *testing.T) {
	t.Parallel()
	findChromium(t)
	d := startDemo(t)
	d.through("uservice3.localhost")
	trace := d.findTrace(t, "uservice4", 7)
	b := openBrowser(t, 1440, 900)
	dir := t.TempDir()
	if _, err := chromedp.Call(b.ctx, downloads.SetDownloadBehavior, downloads.SetDownloadBehaviorParams{Behavior: downloads.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir}); err != nil {
		t.Fatal(err)
	}
	b.do("open the trace", chromedp.Navigate(d.url(listen.PortPage, "/trace/"+trace)))
	b.readTrace(trace)
	b.do("open the menu", chromedp.Click(id("trace-menu"), chromedp.NodeVisible))
	b.do("share", chromedp.Click(id("share"), chromedp.NodeVisible))
	shared := filepath.Join(dir, "trace-"+strings.Repeat("0", 32-len(trace))+trace+".html")
	eventually(t, "the file is saved", func() error {
		info, err := os.Stat(shared)
		if err == nil && info.Size() == 0 {
			err = fmt.Errorf("%s is empty", shared)
		}
		return err
	})
	b.do("open the file", chromedp.Navigate("file://"+filepath.ToSlash(shared)))
	b.readTrace(trace)
	b.openSpan("redis_call")
	b.shows("a detail", has(id("span-details"), "test-values-1"))
	b.do("open the table", chromedp.Click(id("view-table"), chromedp.NodeVisible))
	b.shows("the table", count(id("table-row"), 7))
	b.do("go back", chromedp.NavigateBack())
	b.shows("the waterfall", count(id("span-row"), 7))
	if requests := eval[int](b, "performance.getEntriesByType('resource').length"); requests != 0 {
		t.Errorf("the shared file made %d requests", requests)
	}
	b.clean()
}
