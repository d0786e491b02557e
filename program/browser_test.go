package program

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"etude/program/listen"
)

// findChromium returns the browser to test with. Without one the test is
// skipped by hand, and fails in CI. With -short, as under the race detector, it is
// skipped as well.
func findChromium(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: the browser finds no races; the full run has this test")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("no Chromium found; CI must have one (Debian: apt-get install chromium)")
	}
	t.Skip("no Chromium found: the walk in a browser is not tested (Debian: apt-get install chromium)")
	return ""
}

// browser is a tab that notes what must not happen: errors on the console and
// requests that leave the machine.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu    sync.Mutex
	wrong []string
}

func openBrowser(t *testing.T, width, height int64) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(findChromium(t)), chromedp.NoSandbox,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-quic", true), chromedp.UserDataDir(t.TempDir()))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeTab := chromedp.NewContext(allocator)
	ctx, cancel := context.WithTimeout(ctx, 4*patience)
	t.Cleanup(func() { cancel(); closeTab(); stop() })
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.watch); err != nil {
		t.Fatal(err)
	}
	for _, enable := range []func() error{
		func() error { _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); return err },
		func() error { _, err := chromedp.Call(ctx, log.Enable, cdp.Empty{}); return err },
		func() error { _, err := chromedp.Call(ctx, runtime.Enable, cdp.Empty{}); return err },
	} {
		if err := enable(); err != nil {
			t.Fatal(err)
		}
	}
	b.do("set the size", chromedp.EmulateViewport(width, height))
	return b
}

func (b *browser) watch(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			text, _ := json.Marshal(e.Args)
			b.wrong = append(b.wrong, "console: "+string(text))
		}
	case *runtime.EventExceptionThrown:
		b.wrong = append(b.wrong, "exception: "+e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			b.wrong = append(b.wrong, "log: "+e.Entry.Text+" "+e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(e.Request.URL)
		if err == nil && strings.HasPrefix(u.Scheme, "http") && u.Hostname() != "127.0.0.1" && u.Hostname() != "localhost" {
			b.wrong = append(b.wrong, "request to "+e.Request.URL)
		}
	}
}

// do runs actions, each with the patience of one step.
func (b *browser) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// eval returns the value of a JavaScript expression.
func eval[T any](b *browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("evaluate %s: %v", expression, err)
	}
	return v
}

func id(name string) string { return `[data-testid="` + name + `"]` }

// shows waits until a JavaScript expression is true.
func (b *browser) shows(what, expression string) {
	b.t.Helper()
	eventually(b.t, "the page shows "+what, func() error {
		if !eval[bool](b, "Boolean("+expression+")") {
			return fmt.Errorf("%s is false; the page says:\n%s", expression, eval[string](b, "document.body?.innerText ?? `nothing`"))
		}
		return nil
	})
}

// has is true when an element's text contains another.
func has(selector, text string) string {
	return fmt.Sprintf("document.querySelector(%q)?.innerText.includes(%q)", selector, text)
}

func count(selector string, n int) string {
	return fmt.Sprintf("document.querySelectorAll(%q).length === %d", selector, n)
}

func (b *browser) clean() {
	b.t.Helper()
	if eval[bool](b, "document.documentElement.scrollWidth > innerWidth") {
		b.t.Error("the page is wider than the window")
	}
	b.mu.Lock() // not while the browser is asked: its answers wait for watch
	defer b.mu.Unlock()
	for _, w := range b.wrong {
		b.t.Error(w)
	}
}

const deepLink = `{"datasource":"tempo","queries":[{"refId":"A","datasource":{"type":"tempo","uid":"tempo"},"queryType":"nativeSearch","limit":20}],"range":{"from":"now-1h","to":"now"}}`

func TestBrowserWalk(t *testing.T) {
	t.Parallel()
	findChromium(t)
	d := startDemo(t)
	d.through("uservice1.localhost")
	d.through("uservice3.localhost")
	trace := d.findTrace(t, "uservice4", 7)
	for _, size := range []struct{ width, height int64 }{{1440, 900}, {390, 844}} {
		t.Run(fmt.Sprintf("mouse %dx%d", size.width, size.height), func(t *testing.T) {
			walkByMouse(t, openBrowser(t, size.width, size.height), d, trace)
		})
	}
	t.Run("keyboard", func(t *testing.T) {
		walkByKeyboard(openBrowser(t, 1440, 900), d, trace)
	})
}

func walkByMouse(t *testing.T, b *browser, d *demo, trace string) {
	b.do("open the start page", chromedp.Navigate(d.url(listen.PortPage, "/")))
	b.shows("the links of the demo", fmt.Sprintf("[...document.links].some(a => a.href === %q)", fmt.Sprintf("http://uservice3.localhost:%d/", listen.PortEdge+d.offset)))
	b.do("go to Explore", chromedp.Click(`a[href^="/explore"]`, chromedp.NodeVisible))
	b.search("uservice4", "redis_call")
	b.shows("no result for a span that uservice4 has not", count(id("no-results"), 1))
	b.search("uservice3", "redis_call")
	b.shows("one result", count(id("result-link"), 1))
	b.do("open the trace", chromedp.Click(id("result-link"), chromedp.NodeVisible))
	b.readTrace(trace)

	b.do("open a span", chromedp.Click(id("span-row")+":nth-of-type(1)", chromedp.NodeVisible))
	b.shows("its details", count(id("span-details"), 1))
	b.do("close them", chromedp.Click(id("close-details"), chromedp.NodeVisible))
	b.shows("no details", count(id("span-details"), 0))
	b.do("collapse all", chromedp.Click(id("collapse-all"), chromedp.NodeVisible))
	b.shows("the root alone", count(id("span-row"), 1))
	b.do("expand all", chromedp.Click(id("expand-all"), chromedp.NodeVisible))
	b.shows("all rows again", count(id("span-row"), 7))
	b.do("find", chromedp.SendKeys(id("find-input"), "database"))
	b.shows("one match", has(id("find-count"), "1 match"))
	b.openSpan("redis_call")
	for _, want := range []string{"redis_call", "uservice3", "test-attribute-1", "test-values-1", "os.type", "process.pid", "process.command_args"} {
		b.shows("detail "+want, has(id("span-details"), want))
	}
	b.openSpan("other_uservice_call")
	b.shows("the event", has(id("span-details"), "Got response!"))
	b.readViews()
	background := fmt.Sprintf("getComputedStyle(document.querySelector(%q)).backgroundColor", id("trace-view"))
	before := eval[string](b, background)
	b.do("change the theme", chromedp.Click(id("theme-toggle"), chromedp.NodeVisible))
	after := eval[string](b, background)
	if before == after {
		t.Errorf("the theme did not change from %s", before)
	}

	b.do("follow the old Grafana link", chromedp.Navigate(d.url(listen.PortPage, "/explore?orgId=1&left="+url.QueryEscape(deepLink))))
	b.shows("both traces, the newest first", fmt.Sprintf("[...document.querySelectorAll(%q)].map(a => a.getAttribute('href')).join().includes(%q)", id("result-link"), trace))
	b.shows("two results", count(id("result-link"), 2))
	b.clean()
}

// search fills the form and runs it.
func (b *browser) search(service, name string) {
	b.t.Helper()
	b.do("wait for the form", chromedp.WaitVisible(id("search-service")))
	eval[bool](b, fmt.Sprintf(`[%q, %q].every(s => { const e = document.querySelector(s); e.value = ""; return e.dispatchEvent(new Event("input", {bubbles: true})); })`, id("search-service"), id("search-name")))
	b.do("fill the form",
		chromedp.SendKeys(id("search-service"), service), chromedp.SendKeys(id("search-name"), name), chromedp.Click(id("run-query"), chromedp.NodeVisible))
}

// readTrace checks the head of the trace of seven spans and its rows.
func (b *browser) readTrace(trace string) {
	b.t.Helper()
	b.shows("the title", has(id("trace-header"), "edge: EntryPoint web uservice3.localhost"))
	b.shows("the id", has(id("trace-id"), trace))
	for _, want := range []string{"Services\n3", "Depth\n7", "Total spans\n7"} {
		b.shows(want, has(id("trace-stats"), want))
	}
	b.shows("seven rows", count(id("span-row"), 7))
	b.shows("the minimap", count(id("minimap"), 1))
	// With mock latencies of 0 any span may be the slowest.
	b.shows("the answer", fmt.Sprintf(`/^[\d.]+ %% of [\d.]+ (ms|µs|s) is (edge|uservice3|uservice4) /.test(document.querySelector(%q)?.innerText)`, id("answer")))
	b.shows("the critical path", fmt.Sprintf(`(list => (list.open = true, list.querySelector("tbody")))(document.querySelector(%q))`, id("critical-path")))
	b.addsUp(id("critical-path")+" tbody td:last-child", "the operations")
	b.shows("the path closed", fmt.Sprintf(`(list => (list.open = false, !list.querySelector("tbody")))(document.querySelector(%q))`, id("critical-path")))
}

// addsUp adds the shares of a trace as a reader would; "<0.1 %" counts nothing.
func (b *browser) addsUp(shares, of string) {
	b.t.Helper()
	sum := eval[float64](b, fmt.Sprintf(`[...document.querySelectorAll(%q)].reduce((sum, e) => sum + Math.round(10 * (parseFloat(e.textContent) || 0)), 0)`, shares))
	if sum != 1000 {
		b.t.Errorf("the shares of %s on the critical path add up to %v tenths of a percent, want 1000", of, sum)
	}
}

// readViews goes through the views of the open trace and back.
func (b *browser) readViews() {
	b.t.Helper()
	b.do("close the details", chromedp.Click(id("close-details"), chromedp.NodeVisible))
	b.do("clear the filter", chromedp.Click(`[aria-label="Clear the filter"]`, chromedp.NodeVisible))
	for _, view := range []struct{ name, shows string }{
		{"table", count(id("table-row"), 7)},
		{"flame", count(id("flame")+" canvas", 1)},
		{"sequence", `document.querySelectorAll('[data-testid="sequence"] g[data-span]').length >= 6`},
		{"services", has(id("services-summary"), "uservice4")},
	} {
		b.do("open the view "+view.name, chromedp.Click(id("view-"+view.name), chromedp.NodeVisible))
		b.shows("the view "+view.name, view.shows)
	}
	b.addsUp(id("services-summary")+" section > .big:first-of-type strong", "the services")
	b.do("go back four times", chromedp.Evaluate[chromedp.Void](`history.go(-4)`))
	b.shows("the waterfall", count(id("span-row"), 7))
	b.do("only errors", chromedp.Click(id("pill-errors"), chromedp.NodeVisible))
	b.shows("the failed span below its callers", count(id("span-row"), 3))
	b.shows("the filter in the address", `location.search.includes("find=status%3Derror")`)
	b.openSpan("handle_incoming_call")
	b.shows("why there is an error", has(id("deliberate-error"), "on purpose"))
}

// openSpan clicks the row of a span, wherever it is.
func (b *browser) openSpan(name string) {
	b.t.Helper()
	b.shows("row "+name, fmt.Sprintf(`(() => { const row = [...document.querySelectorAll('[data-testid="span-row"]')].find(r => r.innerText.includes(%q)); row?.scrollIntoView({block: "center"}); row?.click(); return row; })()`, name))
}

// walkByKeyboard does without the mouse what walkByMouse does.
func walkByKeyboard(b *browser, d *demo, trace string) {
	b.do("open Explore", chromedp.Navigate(d.url(listen.PortPage, "/explore")), chromedp.WaitVisible(id("search-service")))
	b.tabTo(id("search-service"))
	b.do("type and run", chromedp.KeyEvent("uservice4"), chromedp.KeyEvent(kb.Escape), chromedp.KeyEvent(kb.Enter))
	b.shows("one result", count(id("result-link"), 1))
	b.tabTo(id("result-link"))
	b.do("open the trace", chromedp.KeyEvent(kb.Enter))
	b.readTrace(trace)
	b.slash()
	b.shows("the find field focused", fmt.Sprintf("document.activeElement.matches(%q)", id("find-input")))
	b.do("find the database", chromedp.KeyEvent("database"), chromedp.KeyEvent(kb.Enter))
	b.shows("the match", has(id("find-count"), "1 of 1"))
	b.do("go to its row and open it", chromedp.KeyEvent(kb.ArrowDown), chromedp.KeyEvent(kb.Enter))
	b.shows("its details", has(id("span-details"), "database_call"))
	b.do("go up and fold", chromedp.KeyEvent(kb.Home), chromedp.KeyEvent(kb.ArrowLeft))
	b.shows("the root alone", count(id("span-row"), 1))
	b.do("unfold", chromedp.KeyEvent(kb.ArrowRight))
	b.do("close the details", chromedp.KeyEvent(kb.Escape))
	b.shows("no details", count(id("span-details"), 0))
	b.do("leave", chromedp.KeyEvent(kb.Escape))
	b.shows("no trace", count(id("trace-view"), 0))
	b.clean()

}

// slash presses the key / as a keyboard does: the character comes only when the
// page lets the key pass, which KeyEvent does not wait for.
func (b *browser) slash() {
	b.t.Helper()
	for _, event := range []input.DispatchKeyEventParams{
		{Type: input.DispatchKeyEventTypeKeyDown, Key: "/", Code: "Slash", Text: "/"},
		{Type: input.DispatchKeyEventTypeKeyUp, Key: "/", Code: "Slash"},
	} {
		if _, err := chromedp.Call(b.ctx, input.DispatchKeyEvent, event); err != nil {
			b.t.Fatal(err)
		}
	}
}

// tabTo presses Tab until the element has the focus.
func (b *browser) tabTo(selector string) {
	b.t.Helper()
	for range 80 {
		if eval[bool](b, fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
			return
		}
		b.do("press Tab", chromedp.KeyEvent(kb.Tab))
	}
	b.t.Fatalf("Tab does not reach %s", selector)
}
