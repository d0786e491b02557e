package program

import (
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"etude/program/listen"
)

// hand is how a reader works with the page: by mouse or by keyboard.
type hand struct {
	press  func(selector string)
	fill   func(selector, text string)
	choose func(place int)
	seen   func(what string)
}

func (b *browser) mouse() hand {
	return hand{b.click, func(selector, text string) {
		b.click(selector)
		eval[bool](b, `document.activeElement.select(); true`)
		b.do("fill "+selector, chromedp.SendKeys(selector, text))
	}, func(place int) { b.click(fmt.Sprintf("%s[data-choice=%q]", id("lab-choice"), fmt.Sprint(place))) }, func(string) {}}
}

func (b *browser) keyboard() hand {
	return hand{b.enter, func(selector, text string) {
		b.tabTo(selector)
		eval[bool](b, `document.activeElement.select(); true`)
		b.do("type "+text, chromedp.KeyEvent(text))
	}, func(place int) {
		b.tabTo(id("lab-choice"))
		b.do("choose the first", chromedp.KeyEvent(" "))
		for range place {
			b.do("choose the next", chromedp.KeyEvent(kb.ArrowDown))
		}
	}, func(string) {}}
}

// TestBrowserLabs solves three labs on the page, each after a wrong answer.
func TestBrowserLabs(t *testing.T) {
	t.Parallel()
	findChromium(t)
	for _, tt := range []struct {
		name          string
		width, height int64
		scheme        string
		hand          func(*browser) hand
	}{
		{"mouse 1440x900", 1440, 900, "light", (*browser).mouse},
		{"mouse 390x844", 390, 844, "dark", (*browser).mouse},
		{"keyboard", 1440, 900, "light", (*browser).keyboard},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := startDemo(t) // its own, with no lab begun
			b := openBrowser(t, tt.width, tt.height)
			features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: tt.scheme}}
			if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
				t.Fatal(err)
			}
			h := tt.hand(b)
			if tt.name != "keyboard" {
				script := axe(t)
				h.seen = func(what string) { b.breaksNoRule(script, what) }
			}
			b.solve(d, h)
		})
	}
}

func (b *browser) solve(d *demo, h hand) {
	b.t.Helper()
	b.do("open the labs", chromedp.Navigate(d.url(listen.PortPage, "/labs")))
	b.shows("all labs", fmt.Sprintf("document.querySelectorAll(%q).length >= 12", id("lab-link")))
	h.seen("the list of labs")
	h.press(id("lab-link") + `[href="/labs/01-find-the-slow-part"]`)
	b.shows("the lesson", has(id("lab")+" article", "own time"))
	b.begin(h)
	h.seen("a lab that has begun")
	h.fill(id("lab-answer"), "database_call")
	b.answer(h, false, "Here database_call takes 10 ms")
	h.press(id("lab-hint"))
	b.shows("a hint", count(id("lab-hint-text"), 1))
	h.seen("a wrong answer and a hint")
	h.fill(id("lab-answer"), "redis_call")
	b.answer(h, true, "redis_call spends 120 ms by itself")
	h.seen("a lab that is done")
	h.press(id("lab-next"))
	b.shows("the next lab", has(id("lab")+" h1", "2. "))

	b.do("open a lab with choices", chromedp.Navigate(d.url(listen.PortPage, "/labs/03-who-broke-propagation")))
	b.shows("the choices", count(id("lab-choice"), 3))
	b.begin(h)
	h.choose(0)
	b.answer(h, false, "Does one of them")
	h.choose(1)
	b.answer(h, true, "the headers of B3")
	h.seen("choices")

	b.do("open a lab with a query", chromedp.Navigate(d.url(listen.PortPage, "/labs/10-n-plus-1")))
	b.shows("the question", count(id("lab-answer"), 1))
	b.begin(h)
	h.fill(id("lab-answer"), `{ status = error }`)
	b.answer(h, false, "Three parts are needed")
	h.fill(id("lab-answer"), `{ name = "list orders" } > { name =~ "SELECT.*" } | count() > 5`)
	b.answer(h, true, "")
	h.press(id("lab-traces"))
	b.shows("the traces of the lab", fmt.Sprintf("document.querySelectorAll(%q).length === 7", id("result-link")))

	b.do("go back to the list", chromedp.Navigate(d.url(listen.PortPage, "/labs")))
	b.shows("three that are done", count("li.done", 3))
	b.clean()
}

// begin starts the lab that is open.
func (b *browser) begin(h hand) {
	b.t.Helper()
	h.press(id("lab-start"))
	b.shows("what the start says", count(id("lab-says"), 1)+" && "+has(id("lab-start"), "Start again"))
}

// answer hands in what was filled in, and reads the verdict.
func (b *browser) answer(h hand, passed bool, says string) {
	b.t.Helper()
	h.press(id("lab-check"))
	b.shows("the verdict", has(id("lab-verdict"), map[bool]string{true: "Passed", false: "Not yet"}[passed])+" && "+has(id("lab-verdict"), says))
}
