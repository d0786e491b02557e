package program

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"etude/program/listen"
)

// TestBrowserDrill narrows a search by a brush and by two moments, goes back and
// forward through it, is told of a mistake while typing, and watches a trace grow.
func TestBrowserDrill(t *testing.T) {
	t.Parallel()
	findChromium(t)
	d := startDemo(t)
	d.through("uservice3.localhost")
	d.findTrace(t, "uservice4", 7)
	d.through("uservice3.localhost")
	b := openBrowser(t, 1440, 900)
	b.brushes(d)
	b.picksTime()
	b.breaksDown(d)
	b.seesGrowth(t, d)
	b.clean()
	b.isToldWhileTyping(d) // the browser logs the refusal
}

// brushes drags a rectangle over all dots of the scatter plot, goes back, and forward again. Then it
// opens the slower trace by a click, and does both by keys.
func (b *browser) brushes(d *demo) {
	b.t.Helper()
	plot := id("scatter") + " .u-over"
	b.do("search", chromedp.Navigate(d.url(listen.PortPage, "/explore?service=uservice4")))
	b.shows("both traces", count(id("result-link"), 2))
	b.shows("the dots", drawn(id("scatter")+" canvas", 1))
	b.drag(plot, [2]float64{0.001, 0.01}, [2]float64{0.999, 0.99})
	narrowed := `["from", "to", "min", "max"].every(p => new URLSearchParams(location.search).get(p))`
	b.shows("the region in the address", narrowed)
	b.shows("both traces inside of it", count(id("result-link"), 2))
	b.do("go back", chromedp.NavigateBack())
	b.shows("the search before", `!location.search.includes("min=")`)
	b.do("go forward", chromedp.NavigateForward())
	b.shows("the region again", narrowed)
	b.do("go back", chromedp.NavigateBack())
	b.shows("both traces", count(id("result-link"), 2))

	b.drag(plot, [2]float64{0.001, 0.5}, [2]float64{0.999, 0.5})
	b.shows("times without durations in the address", `(p => p.get("from") && p.get("to") && !p.get("min") && !p.get("max"))(new URLSearchParams(location.search))`)
	b.do("go back", chromedp.NavigateBack())
	b.shows("both traces", count(id("result-link"), 2))
	eval[bool](b, fmt.Sprintf(`(plot => { // a finger goes sideways
		const box = plot.getBoundingClientRect();
		for (const [type, at] of [["pointerdown", 0.001], ["pointermove", 0.5], ["pointermove", 0.999], ["pointerup", 0.999]])
			plot.dispatchEvent(new PointerEvent(type, {pointerType: "touch", bubbles: true, clientX: box.left + at * box.width, clientY: box.top + 20}));
		return true;
	})(document.querySelector(%q))`, plot))
	b.shows("the times of the finger in the address", `(p => p.get("from") && p.get("to") && !p.get("min") && !p.get("max"))(new URLSearchParams(location.search))`)
	b.do("go back", chromedp.NavigateBack())
	b.shows("both traces at rest", `!location.search.includes("from=1") && document.querySelector('[data-testid="results"]').ariaBusy === "false" && `+count(id("result-link"), 2))
	b.tabTo(id("scatter"))
	b.do("go from the newest trace to the oldest", chromedp.KeyEvent(kb.Home))
	b.shows("which it is", fmt.Sprintf(`(plot => plot.ariaValueNow === "1" && /, edge EntryPoint .*, 1 error, /.test(plot.ariaValueText))(document.querySelector(%q))`, id("scatter")))
	b.do("select up to the newest", chromedp.KeyEvent(kb.End, chromedp.KeyModifiers(chromedp.ModifierShift)))
	b.shows("the region in words", fmt.Sprintf(`document.querySelector(%q).ariaValueText.includes("Enter narrows the search")`, id("scatter")))
	b.do("narrow", chromedp.KeyEvent(kb.Enter))
	b.shows("the region of the keys", narrowed)
	b.shows("both traces inside of it", count(id("result-link"), 2))
	b.shows("the table behind the plot", `document.querySelector('[data-testid="scatter"]').closest("figure").querySelector('[data-testid="chart-table"]')`)
	b.tabTo(id("chart-table") + " summary")
	b.do("open it", chromedp.KeyEvent(kb.Enter))
	b.shows("its two rows", count(id("chart-table")+" tbody tr", 2))
	b.do("take the other axis", chromedp.Click(id("scatter-log"), chromedp.NodeVisible))
	b.shows("that it is taken", fmt.Sprintf(`document.querySelector(%q).ariaPressed === "true"`, id("scatter-log")))
	b.tabTo(id("scatter"))
	b.do("open the newest trace", chromedp.KeyEvent(kb.End), chromedp.KeyEvent(kb.Enter))
	b.shows("its rows", count(id("span-row"), 7))
	b.do("go back", chromedp.NavigateBack())
	b.shows("no trace", count(id("span-row"), 0))
	b.tabTo(id("scatter"))
	b.do("go to the oldest trace", chromedp.KeyEvent(kb.Home))
	ring := id("scatter") + " .ring"
	b.shows("the ring around it", count(ring, 1))
	b.drag(ring, [2]float64{0.5, 0.5}, [2]float64{0.5, 0.5})
	b.shows("its rows", count(id("span-row"), 7))
	b.do("go back to both", chromedp.NavigateBack())
}

// drag presses the button of the mouse at one point of an element, moves, and lets it go at another; at the same point
// that is a click. The points are shares of the element's size.
func (b *browser) drag(selector string, from, to [2]float64) {
	b.t.Helper()
	b.do("scroll to "+selector, chromedp.ScrollIntoView(selector))
	box := eval[[]float64](b, fmt.Sprintf(`(r => [r.x, r.y, r.width, r.height])(document.querySelector(%q).getBoundingClientRect())`, selector))
	at := func(p [2]float64) (x, y float64) { return box[0] + p[0]*box[2], box[1] + p[1]*box[3] }
	send := func(kind input.DispatchMouseEventType, p [2]float64) {
		x, y := at(p)
		e := input.DispatchMouseEventParams{Type: kind, X: x, Y: y, Button: input.MouseButtonLeft, Buttons: 1, ClickCount: 1}
		if _, err := chromedp.Call(b.ctx, input.DispatchMouseEvent, e); err != nil {
			b.t.Fatal(err)
		}
	}
	send(input.DispatchMouseEventTypeMouseMoved, from)
	send(input.DispatchMouseEventTypeMousePressed, from)
	send(input.DispatchMouseEventTypeMouseMoved, [2]float64{(from[0] + to[0]) / 2, (from[1] + to[1]) / 2})
	send(input.DispatchMouseEventTypeMouseMoved, to)
	send(input.DispatchMouseEventTypeMouseReleased, to)
}

// picksTime chooses two moments, then a preset.
func (b *browser) picksTime() {
	b.t.Helper()
	choose := func(value string) {
		eval[bool](b, fmt.Sprintf(`(() => { const s = document.querySelector(%q); s.value = %q; s.dispatchEvent(new Event("change", {bubbles: true})); return true; })()`, id("time-range"), value))
	}
	choose("other")
	b.do("wait for the form", chromedp.WaitVisible(id("time-from")))
	eval[bool](b, fmt.Sprintf(`[%q, %q].every(s => { const e = document.querySelector(s); e.value = ""; return e.dispatchEvent(new Event("input", {bubbles: true})); })`, id("time-from"), id("time-to")))
	b.do("write nonsense", chromedp.SendKeys(id("time-from"), "noon"), chromedp.SendKeys(id("time-to"), "2021-01-01"), chromedp.KeyEvent(kb.Enter))
	b.shows("what is wrong", has(".picker [role=alert]", "Write a time such as"))
	eval[bool](b, fmt.Sprintf(`(() => { const e = document.querySelector(%q); e.value = ""; return e.dispatchEvent(new Event("input", {bubbles: true})); })()`, id("time-from")))
	b.do("write a moment", chromedp.SendKeys(id("time-from"), "2020-01-01 00:00"), chromedp.KeyEvent(kb.Enter))
	b.shows("both moments in the address", `["from", "to"].every(p => /^\d{13}$/.test(new URLSearchParams(location.search).get(p)))`)
	b.shows("no trace of that year", count(id("no-results"), 1))
	choose("now-15m")
	b.shows("both traces", count(id("result-link"), 2))
}

// isToldWhileTyping has the backend's complaint without running the query.
func (b *browser) isToldWhileTyping(d *demo) {
	b.t.Helper()
	input := `document.querySelector('[data-testid="traceql-editor"] > div')?.shadowRoot?.querySelector('[data-testid="traceql-input"]')`
	b.do("open TraceQL", chromedp.Navigate(d.url(listen.PortPage, "/explore?tab=traceql")))
	b.shows("the editor", input)
	b.do("type a mistake", chromedp.Evaluate[chromedp.Void](`void `+input+`.focus()`), chromedp.KeyEvent("{ foo = 1 }"))
	b.shows("the mistake in words", has(id("typed-error"), "unknown identifier: foo"))
	b.shows("its place in the editor", input+`.querySelector(".cm-error")`)
	b.shows("that nothing ran", `!location.search.includes("foo")`)
}

// breaksDown groups a rate by an attribute, and compares failed spans with others.
func (b *browser) breaksDown(d *demo) {
	b.t.Helper()
	b.do("ask for a rate", chromedp.Navigate(d.url(listen.PortPage, "/explore?tab=traceql&from=now-15m&q=%7B%20%7D%20%7C%20rate()")))
	b.shows("the breakdown", count(id("breakdown"), 1))
	b.do("break it down", chromedp.SendKeys(id("breakdown"), "resource.service.name"), chromedp.KeyEvent(kb.Enter))
	b.shows("the query", `new URLSearchParams(location.search).get("q") === "{ } | rate() by (resource.service.name)"`)
	b.shows("a line for each service", has(id("metrics"), "uservice4"))
	b.do("compare failed spans", chromedp.Navigate(d.url(listen.PortPage, "/explore?tab=traceql&from=now-15m&q=%7B%20%7D%20%7C%20compare(%7B%20status%20%3D%20error%20%7D)")))
	b.shows("what is left out", has(id("metrics"), "as the selection says it already: status"))
	b.do("keep the first value", chromedp.Click(id("compare-include"), chromedp.NodeVisible))
	b.shows("the narrowed query", `/^\{ .+ = .+ \} \| compare/.test(new URLSearchParams(location.search).get("q"))`)
}

// seesGrowth opens a trace of which one span has arrived, and sends another.
func (b *browser) seesGrowth(t *testing.T, d *demo) {
	t.Helper()
	const trace = "0af7651916cd43dd8448eb211c80319c"
	send := func(span, parent, name string) {
		t.Helper()
		now := time.Now().UnixNano()
		body := fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"growing"}}]},"scopeSpans":[{"spans":[
			{"traceId":"%s","spanId":"%s","parentSpanId":"%s","name":"%s","kind":1,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"}]}]}]}`, trace, span, parent, name, now-1000, now)
		r, err := http.Post(d.url(listen.PortOTLPHTTP, "/v1/traces"), "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != http.StatusOK {
			t.Fatalf("the span was answered with %s", r.Status)
		}
	}
	send("00f067aa0ba902b7", "", "first")
	b.do("open the trace", chromedp.Navigate(d.url(listen.PortPage, "/trace/"+trace)))
	b.shows("its span", count(id("span-row"), 1))
	send("00f067aa0ba902b8", "00f067aa0ba902b7", "second")
	b.shows("the span that came later", count(id("span-row"), 2))
}
