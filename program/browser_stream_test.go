package program

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"etude/page"
)

// TestBrowserStream has a search send two results and then wait: the page shows them
// and how far the search is. One is stopped, and one goes on to its end.
func TestBrowserStream(t *testing.T) {
	t.Parallel()
	findChromium(t)
	next, stopped := make(chan struct{}), make(chan struct{}, 1)
	server := httptest.NewServer(page.Handler(page.Options{API: streamed(next, stopped)}))
	t.Cleanup(server.Close)
	b := openBrowser(t, 1440, 900)

	b.do("open a search", chromedp.Navigate(server.URL+"/explore?tab=traceql&limit=10000&q=%7Btrue%7D"))
	b.shows("the first results", count(id("result-link"), 2))
	b.shows("how far it is", has(id("search-progress"), "3 of 40 parts · searched back to 20")+" && "+has(id("search-progress"), "1,234,567 spans inspected"))
	b.click(id("stop-search"))
	select {
	case <-stopped:
	case <-t.Context().Done():
		t.Fatal("the request of a search that was stopped goes on")
	}
	b.shows("that it was stopped", has(id("stopped"), "searched back to")+" && "+count(id("search-progress"), 0)+" && "+count(id("result-link"), 2))

	b.do("search again", chromedp.Navigate(server.URL+"/explore?tab=traceql&limit=10000&q=%7B%7D"))
	b.shows("the first results again", count(id("search-progress"), 1)+" && "+count(id("result-link"), 2))
	eval[bool](b, `(() => {
		window.shown = 0; window.tasks = [];
		new PerformanceObserver(list => list.getEntries().forEach(e => window.tasks.push(Math.round(e.duration)))).observe({entryTypes: ["longtask"]});
		const wait = () => document.querySelector('[data-testid="result-count"]')?.innerText.includes("10,000") ? requestAnimationFrame(() => setTimeout(() => window.shown = performance.now())) : requestAnimationFrame(wait);
		wait();
		return true;
	})()`)
	close(next)
	b.shows("all results", "window.shown && "+count(id("search-progress"), 0))
	if rows := eval[int](b, `document.querySelectorAll('[data-testid="result-link"]').length`); rows > 200 {
		t.Errorf("%d rows are in the page, of which some 20 are seen", rows)
	}
	last := `performance.getEntriesByType("resource").filter(e => e.name.includes("/api/etude/search")).at(-1).responseEnd`
	t.Logf("10,000 results: shown %.0f ms after the last byte; long tasks: %s", eval[float64](b, "window.shown - "+last), eval[string](b, "JSON.stringify(window.tasks)"))
	b.do("turn to a phone", chromedp.EmulateViewport(390, 844))
	b.shows("cards as wide as the phone", `(cells => cells.length > 5 && cells.every(td => td.getBoundingClientRect().width > 330))([...document.querySelectorAll('[data-testid="results"] td.name')])`)
	b.clean()
}

// streamed answers a search: two traces, a line of progress, and, when next is closed,
// the other 9,998. It tells of a request whose client left before.
func streamed(next, stopped chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/etude/search" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		out, now := bufio.NewWriter(w), time.Now()
		traces := func(from, to int) {
			for i := from; i < to; i++ {
				_, _ = fmt.Fprintf(out, `{"trace":{"traceID":"%x","rootServiceName":"service-%d","rootTraceName":"GET /items","startTimeUnixNano":"%d","durationMs":%d,"serviceStats":{"a":{"spanCount":8}}}}`+"\n",
					i+1, i%9, now.Add(-time.Duration(i)*time.Millisecond).UnixNano(), 1+i%700)
			}
		}
		traces(0, 2)
		_, _ = fmt.Fprintf(out, `{"progress":{"completedJobs":3,"totalJobs":40,"inspectedTraces":9,"inspectedSpans":1234567,"reachedUnixNano":"%d"}}`+"\n", now.UnixNano())
		_ = out.Flush()
		_ = http.NewResponseController(w).Flush()
		select {
		case <-next:
		case <-r.Context().Done():
			stopped <- struct{}{}
			return
		}
		traces(2, 10_000)
		_, _ = fmt.Fprintln(out, `{"end":{}}`)
		_ = out.Flush()
	})
}
