package program

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"etude/program/listen"
)

// TestBrowserGuide goes the walk as the page guides through it, from the start
// page to the code of the slow span.
func TestBrowserGuide(t *testing.T) {
	t.Parallel()
	findChromium(t)
	d := startSlowDemo(t, "800ms")
	for _, tt := range []struct {
		width, height int64
		scheme        string
	}{{1440, 900, "light"}, {390, 844, "dark"}} {
		t.Run(fmt.Sprintf("mouse %dx%d", tt.width, tt.height), func(t *testing.T) {
			script := axe(t)
			b := openBrowser(t, tt.width, tt.height)
			features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: tt.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}
			if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
				t.Fatal(err)
			}
			look := func(what string) { b.breaksNoRule(script, what) }
			b.guide(d, b.click, look)
			b.breakThings(d, b.click, look)
		})
	}
	t.Run("keyboard", func(t *testing.T) {
		b := openBrowser(t, 1440, 900)
		b.guide(d, b.enter, func(string) {})
		b.breakThings(d, b.enter, func(string) {})
	})
}

func (b *browser) click(selector string) {
	b.t.Helper()
	b.do("click "+selector, chromedp.Click(selector, chromedp.NodeVisible))
}

// enter activates an element by keyboard alone.
func (b *browser) enter(selector string) {
	b.t.Helper()
	b.tabTo(selector)
	b.do("press Enter", chromedp.KeyEvent(kb.Enter))
}

// guide goes the walk; press activates an element, and seen is called wherever
// the page looks different.
func (b *browser) guide(d *demo, press func(selector string), seen func(what string)) {
	b.t.Helper()
	b.do("open the start page", chromedp.Navigate(d.url(listen.PortPage, "/")))
	b.shows("the way into the walk", count(id("start-walk"), 1))
	press(id("start-walk"))

	b.shows("the button", count(id("walk-send"), 1))
	seen("the walk before the request")
	press(id("walk-send"))
	b.shows("uservice2 at work", has(id("light-uservice2"), "has the request"))
	b.shows("the question", count(id("guess-unknown"), 1))
	b.shows("two spans", count(id("guess"), 2))
	b.shows("the ids that uservice1 saw", has(id("hop-uservice1"), "uber-trace-id"))
	b.shows("a line of uservice1", has(id("hop-uservice1"), "Calling http://127.0.0.1"))
	b.shows("that uservice2 saw no id", count(id("hop-uservice2")+" "+id("no-trace-header"), 1))
	b.shows("no ghosts before the answer", count(id("ghost"), 0))
	press(id("guess") + `[data-span^="forward"]`)
	b.shows("why not", has(id("verdict"), "No span says"))
	seen("a wrong guess")
	press(id("guess-unknown"))
	b.shows("why", has(id("verdict"), "you cannot know"))
	b.shows("what tracing would have told", count(id("ghost"), 5))
	seen("the ghosts")
	press(id("walk-next"))

	b.shows("the other pair", has(id("walk")+" h1", "with a trace"))
	b.findSlow(press)
	b.shows("the code that made it", has(id("span-code"), `s.tracer.Start(ctx, "database_call")`))
	seen("the answer")
	b.shows("what comes next", count(id("walk-next"), 1))
	press(id("walk-open"))
	b.shows("the whole trace", count(id("span-row"), 7))
	b.openSpan("redis_call")
	b.shows("the line of the attribute", has(id("span-code"), "attribute test-attribute-1"))
	seen("code beside a span")
	b.clean()
}

// findSlow sends the traced request and finds its slow span, after a wrong guess.
// A machine that stalls for longer than the database takes makes another span the
// slow one; then findSlow sends the request again.
func (b *browser) findSlow(press func(selector string)) {
	b.t.Helper()
	right := has(id("verdict"), "Yes. uservice4 database_call spent")
	for range 3 {
		press(id("walk-send"))
		b.shows("uservice4 at work", has(id("light-uservice4"), "works"))
		b.shows("seven spans to choose from", count(id("guess"), 7))
		b.shows("one id in both hops", fmt.Sprintf(`(() => {
			const trace = s => [...document.querySelectorAll(s + " .field")].find(f => f.innerText.includes("trace id"))?.querySelector("b")?.className;
			return trace(%q) && trace(%q) === trace(%q);
		})()`, id("hop-uservice3"), id("hop-uservice3"), id("hop-uservice4")))
		press(id("guess") + `[data-span="redis_call"]`)
		b.shows("why not", has(id("verdict"), "Not that one. uservice3 redis_call"))
		waited := eval[bool](b, has(id("verdict"), "it waited for the span below it"))
		press(id("guess") + `[data-span="database_call"]`)
		b.shows("why", right+" || "+has(id("verdict"), "Not that one. uservice4 database_call"))
		if waited && eval[bool](b, right) {
			return
		}
	}
	b.t.Fatal("database_call, which takes 800 ms, was the slow span in none of three requests")
}

// breakThings turns a switch on, sees what it says will be seen, and puts it back.
func (b *browser) breakThings(d *demo, press func(selector string), seen func(what string)) {
	b.t.Helper()
	b.do("open the switches", chromedp.Navigate(d.url(listen.PortPage, "/walk/break")))
	b.shows("all switches", fmt.Sprintf("document.querySelectorAll('[role=switch]').length === %d", len(d.switches())))
	seen("the switches")
	press(id("switch-other-header"))
	b.shows("what to look for", has(id("see-other-header"), "two traces"))
	press(id("walk-send"))
	b.shows("two traces", count(id("walk-trace"), 2))
	b.shows("five spans and two", count(id("walk-trace")+":nth-child(1) li", 5)+" && "+count(id("walk-trace")+":nth-child(2) li", 2))
	b.shows("the header that uservice4 does not read", has(id("hop-uservice4"), "uber-trace-id"))
	seen("two traces of one request")
	press(id("put-back"))
	b.shows("all put back", count("[role=switch][aria-checked=true]", 0)+" && "+count("[role=switch]:disabled", 0))
	press(id("walk-send"))
	b.shows("one trace again", count(id("walk-trace"), 1)+" && "+count(id("walk-trace")+" li", 7))
	b.clean()
}
