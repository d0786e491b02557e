package program

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"google.golang.org/protobuf/encoding/protowire"

	"etude/page"
)

// largeTrace is a Tempo TraceByIDResponse of n spans: a root, and below it
// requests of twenty spans each, three levels deep, with ten attributes a span.
func largeTrace(n int) []byte {
	text := func(b []byte, field protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
	}
	message := func(b []byte, field protowire.Number, inner []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), inner)
	}
	attribute := func(b []byte, field protowire.Number, key, value string) []byte {
		return message(b, field, message(text(nil, 1, key), 2, text(nil, 1, value)))
	}
	spanID := func(i int) string { return string(binary.BigEndian.AppendUint64(nil, uint64(i+1))) }
	const start = 1_795_448_520_000_000_000
	services := make([][]byte, 12)
	for i := range n {
		service := i % len(services)
		parent := 0
		switch k := i % 20; {
		case i == 0:
			parent = -1
		case k >= 4:
			parent = i - k + k%4
		}
		span := text(text(nil, 1, strings.Repeat("\x00", 15)+"\x07"), 2, spanID(i))
		if parent >= 0 {
			span = text(span, 4, spanID(parent))
		}
		span = text(span, 5, fmt.Sprintf("operation %d", i%97))
		from, length := uint64(start+i*1000), uint64(900_000+i%7*1000)
		if i == 0 {
			length = uint64(n)*1000 + 2_000_000
		}
		span = protowire.AppendFixed64(protowire.AppendTag(span, 7, protowire.Fixed64Type), from)
		span = protowire.AppendFixed64(protowire.AppendTag(span, 8, protowire.Fixed64Type), from+length)
		for a := range 9 {
			span = attribute(span, 9, fmt.Sprintf("attribute.%d", a), fmt.Sprintf("value %d", (i*7+a)%50))
		}
		span = attribute(span, 9, "request.id", fmt.Sprintf("r-%d", i)) // a value that no other span has
		if i%1000 == 999 {
			span = message(span, 15, protowire.AppendVarint(protowire.AppendTag(text(nil, 2, "out of stock"), 3, protowire.VarintType), 2))
		}
		services[service] = message(services[service], 2, span)
	}
	var trace []byte
	for i, spans := range services {
		resource := attribute(nil, 1, "service.name", fmt.Sprintf("service-%d", i))
		trace = message(trace, 1, message(message(nil, 1, resource), 2, spans))
	}
	return message(nil, 1, trace)
}

// openLarge serves the page over one large trace and opens it.
func openLarge(t *testing.T, n int) *browser {
	t.Helper()
	answer := largeTrace(n)
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/api/v2/traces/") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/protobuf")
		_, _ = w.Write(answer)
	})
	server := httptest.NewServer(page.Handler(page.Options{API: api}))
	t.Cleanup(server.Close)
	b := openBrowser(t, 1440, 900)
	b.do("open the start page", chromedp.Navigate(server.URL+"/"))
	b.shows("the start page", `document.querySelector("main h1")`)
	b.shows("that it is ready for a trace", `performance.getEntriesByName("trace worker ready").length > 0 && performance.getEntriesByType("resource").some(e => e.name.includes("TracePane"))`)
	eval[bool](b, `window.longest = 0, window.tasks = [], new PerformanceObserver(list => list.getEntries().forEach(e => window.tasks.push([Math.round(e.startTime - window.began), Math.round(e.duration)]))).observe({entryTypes: ["longtask"]}), true`)
	// Timed inside of the page, from the click on a link to the first painted row.
	eval[bool](b, `(() => {
		const link = document.createElement("a");
		link.href = "/trace/7";
		document.body.append(link);
		window.began = performance.now();
		link.click();
		const wait = () => document.querySelector('[data-testid="span-row"]') ? requestAnimationFrame(() => setTimeout(() => window.opened = performance.now() - window.began)) : requestAnimationFrame(wait);
		wait();
		return true;
	})()`)
	b.shows("the rows", "window.opened")
	b.shows("all spans counted", fmt.Sprintf("document.querySelector(%q)?.innerText.replaceAll(',', '').includes('Total spans\\n%d')", id("trace-stats"), n))
	t.Logf("%d spans, %d MB: opened in %.0f ms; long tasks (start, length): %s", n, len(answer)>>20, eval[float64](b, "window.opened"), eval[string](b, "JSON.stringify(window.tasks)"))
	return b
}

// findLarge types into the filter bar and waits for the number of matches, which
// must be another than before.
func (b *browser) findLarge(text, want string) {
	b.t.Helper()
	eval[bool](b, fmt.Sprintf(`(() => {
		window.tasks = []; window.found = 0; window.began = performance.now();
		const [input, before] = [document.querySelector(%q), document.querySelector(%q)?.innerText];
		input.value = %q;
		input.dispatchEvent(new Event("input", {bubbles: true}));
		const wait = () => (text => text !== before && text?.includes(%q))(document.querySelector(%q)?.innerText) ? window.found = performance.now() - window.began : requestAnimationFrame(wait);
		wait();
		return true;
	})()`, id("find-input"), id("find-count"), text, want, id("find-count")))
	b.shows(want, "window.found")
	b.t.Logf("find %q: %.0f ms; long tasks: %s", text, eval[float64](b, "window.found"), eval[string](b, "JSON.stringify(window.tasks)"))
}

func TestBrowserLargeTrace(t *testing.T) {
	t.Parallel()
	findChromium(t)
	sizes := []int{10_000, 100_000}
	if os.Getenv("ETUDE_HOSTILE") == "1" {
		sizes = append(sizes, 1_000_000)
	}
	for _, n := range sizes {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			b := openLarge(t, n)
			matches := func(n int) string { return strings.TrimSpace(fmt.Sprintf("%s matches", grouped(n))) }
			b.findLarge("status=error", matches(n/1000))
			b.findLarge("r-999", matches(len(withDigits(n, "999")))) // the first text
			b.findLarge("own>500us", "1 of "+grouped(n/20*16+1))     // the root, which has the focus, and the leaves
			for _, digits := range []string{"888", "88", "7"} {
				b.findLarge("r-"+digits, matches(len(withDigits(n, digits))))
			}
			b.shows("few rows for many spans", fmt.Sprintf("document.querySelectorAll(%q).length < 120", id("span-row")))
			for _, view := range []string{"table", "flame", "services", "waterfall"} {
				b.do("open the view "+view, chromedp.Click(id("view-"+view), chromedp.NodeVisible))
			}
			b.shows("the rows again", "document.querySelector('[data-testid=\"span-row\"]')")
			b.clean()
		})
	}
}

// withDigits are the numbers below n that begin with the given digits.
func withDigits(n int, digits string) (found []int) {
	for i := range n {
		if strings.HasPrefix(fmt.Sprint(i), digits) {
			found = append(found, i)
		}
	}
	return found
}

// grouped writes a number as the page does: 12,345.
func grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
