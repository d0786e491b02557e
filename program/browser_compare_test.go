package program

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"

	"etude/program/listen"
)

// TestBrowserCompare compares one trace with the usual, from its head, then a
// trace with itself, then two sets by query.
func TestBrowserCompare(t *testing.T) {
	t.Parallel()
	findChromium(t)
	d := startDemo(t)
	d.through("uservice3.localhost")
	first := d.findTrace(t, "uservice4", 7)
	d.through("uservice3.localhost")
	b := openBrowser(t, 1440, 900)

	b.do("search", chromedp.Navigate(d.url(listen.PortPage, "/explore?service=uservice4")))
	b.shows("both traces", count(id("result-link"), 2))
	b.do("open the trace", chromedp.Navigate(d.url(listen.PortPage, "/trace/"+first)))
	b.do("compare it", chromedp.Click(id("compare-trace"), chromedp.NodeVisible))
	b.shows("the usual and the trace in the address", fmt.Sprintf(`location.pathname === "/compare" && new URLSearchParams(location.search).get("before") === "usual" && new URLSearchParams(location.search).get("after").endsWith(%q)`, first))
	b.shows("the answer", has(id("compare-answer"), "The trace takes"))
	b.shows("both sides in one tree", has(id("compare-rows"), "database_call"))
	b.shows("the sum of the parts", has(id("compare-parts")+" tfoot", "All"))

	b.do("put the trace on both sides", chromedp.Navigate(d.url(listen.PortPage, "/compare?before="+first+"&after="+first)))
	b.shows("no difference", has(id("compare-answer"), "nothing in it differs"))
	b.shows("no parts", count(id("compare-parts"), 0))
	b.do("compare with the usual", chromedp.Click(id("compare-usual"), chromedp.NodeVisible))
	b.shows("one trace against one", has(id("compare-answer"), "1 trace"))
	b.do("go back", chromedp.NavigateBack())
	b.shows("the trace on both sides again", has(id("compare-answer"), "nothing in it differs"))

	b.do("compare by query", chromedp.Navigate(d.url(listen.PortPage, "/compare?before="+url.QueryEscape("{ kind = server }")+"&after="+url.QueryEscape(`{ name = "redis_call" }`))))
	b.shows("two traces", has(id("compare-answer"), "2 traces"))
	b.clean()
	b.do("name what is not there", chromedp.Navigate(d.url(listen.PortPage, "/compare?before=usual&after=1234")))
	b.shows("what is wrong", has(id("compare-error"), "has not arrived"))
}
