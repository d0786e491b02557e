package program

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"etude/labs"
	"etude/program/backend"
	"etude/program/listen"
	"etude/program/proc"
)

// labEngine has the labs as `up` has them, over a backend in this process. The
// services of labs are processes of their own.
func labEngine(t *testing.T) *labs.Engine {
	t.Helper()
	b, err := backend.StartEphemeral(proc.Build{Version: Version}, newLogger(t.Output()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Setenv(asProgram, "1") // for the processes that it starts
	engine, err := b.OpenLabs()
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// wrongAnswers are what learners answer at first, and a word that each must get.
var wrongAnswers = map[string]map[string]string{
	"01": {"database_call": "takes 10 ms", "handle_incoming_call": "own time", "uservice3": "Which of its spans", "nothing": "own times"},
	"02": {"redis_call": "below it", "uservice4 handle_incoming_call": "span of its own"},
	"03": {"uservice3 did not write the header": "Does one of them", "the backend tore the traces apart": "only sorts"},
	"04": {"one": "Which?", "0123456789": "Search for"},
	"05": {"{ ": "does not work", "{ name = \"database_call\" }": "attribute team", "{ resource.team != nil }": "spans are not"},
	"06": {"edge EntryPoint web shop.localhost": "downwards", "send mail": "came later", "charge": "Which span did it get it from"},
	"07": {"half of the requests were not sampled": "uservice4's are there", "one replica does not pass the trace on": "no parent"},
	"08": {"5": "Each makes two", "20": "one of the two"},
	"09": {"payment": "Compare with stock", "edge": "Only one service"},
	"10": {`{ name =~ "SELECT.*" } | count() > 5`: "too many, such as", `{ name = "list orders" } >> { name =~ "SELECT.*" } | count() > 5`: "too many", `{ name = "list orders" } > { name =~ "SELECT.*" } | count() > 20`: "misses 2 traces", `{ status = error }`: "Three parts"},
	"11": {"pay": "Click the dot", "abcdef12": "no slow one"},
	"12": {"order": "same name", "123456": "follow its link"},
	"13": {},
	"14": {"{ name = }": "cannot be read", `{ name = "refund" }`: "must pass", `{ name = "checkout" }`: "without SELECT stock",
		"{ name = \"SELECT stock\" }\n{ name = \"charge\" }": "charged twice", "=1 { name = \"SELECT stock\" }\n=1 { name = \"charge\" }": "not below checkout",
		"=1 { name = \"SELECT stock\" }\n=1 { name = \"checkout\" } > { name = \"charge\" }": "do not notice an error"},
}

// TestLabs: of every lab, the start state and wrong answers fail, with a word that
// helps, and the solution passes.
func TestLabs(t *testing.T) {
	engine := labEngine(t)
	all, next := engine.List()
	if len(all) < 14 || next != all[0].ID {
		t.Fatalf("%d labs, the next is %q", len(all), next)
	}
	for _, l := range all {
		t.Run(l.ID, func(t *testing.T) {
			if l.Answer == "none" {
				useGoCaches(t)
			}
			began := time.Now()
			if _, err := engine.Check(t.Context(), l.ID, "x"); err == nil || !strings.Contains(err.Error(), "start it first") {
				t.Errorf("before the start: %v", err)
			}
			started, err := engine.Start(t.Context(), l.ID)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(started.Says+started.Question, "${") {
				t.Errorf("a variable is not filled in:\n%s", started.Says)
			}
			first := check(t, engine, l.ID, "")
			if first.Passed || len(first.Says) < 20 {
				t.Errorf("the start state: %+v", first)
			}
			wrong, known := wrongAnswers[l.ID[:2]]
			if !known {
				t.Error("no wrong answers are tried")
			}
			for answer, word := range wrong {
				if strings.HasPrefix(answer, "{ resource.team") {
					continue // needs the learner's spans, below
				}
				expectWrong(t, engine, l.ID, answer, word)
			}
			answer, err := engine.Solve(t.Context(), l.ID)
			if err != nil {
				t.Fatal(err)
			}
			if l.ID[:2] == "05" {
				expectWrong(t, engine, l.ID, "{ resource.team != nil }", wrong["{ resource.team != nil }"])
			}
			asked := time.Now()
			right := check(t, engine, l.ID, answer)
			if !right.Passed {
				t.Fatalf("the solution %q fails: %s", answer, right.Says)
			}
			t.Logf("%d ms, of which the check of the solution took %d", time.Since(began).Milliseconds(), time.Since(asked).Milliseconds())
			if v, err := engine.Lab(l.ID); err != nil || v.State != labs.Done || v.Solution == "" {
				t.Errorf("afterwards: %+v, %v", v, err)
			}
		})
	}
}

func check(t *testing.T, engine *labs.Engine, id, answer string) labs.Result {
	t.Helper()
	r, err := engine.Check(t.Context(), id, answer)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func expectWrong(t *testing.T, engine *labs.Engine, id, answer, word string) {
	t.Helper()
	if r := check(t, engine, id, answer); r.Passed || !strings.Contains(r.Says, word) {
		t.Errorf("answer %q: passed %t, says %q; want a word with %q", answer, r.Passed, r.Says, word)
	}
}

// useGoCaches keeps what has been built for the tests that build.
func useGoCaches(t *testing.T) {
	t.Helper()
	for _, kv := range goCaches(t) {
		key, value, _ := strings.Cut(kv, "=")
		t.Setenv(key, value)
	}
}

// TestLabWorkingCopy: a start keeps what the learner has written, a mistake in it
// is told in the compiler's words, and a half-done copy gets a verdict.
func TestLabWorkingCopy(t *testing.T) {
	engine := labEngine(t)
	useGoCaches(t)
	started, err := engine.Start(t.Context(), "13")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(started.Where, "uservice2", "uservice2.go")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, "\nvar x int = \"text\"\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.Start(t.Context(), "13"); err != nil {
		t.Fatal(err)
	}
	if r := check(t, engine, "13", ""); r.Passed || !strings.Contains(r.Says, "does not compile") || !strings.Contains(r.Says, "uservice2.go") {
		t.Errorf("a mistake: %+v", r)
	}
	if _, err := engine.Solve(t.Context(), "13"); err != nil {
		t.Fatal(err)
	}
	solved, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	half := strings.Replace(string(solved), `"database_call"`, `"query"`, 1)
	if err := os.WriteFile(file, []byte(half), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := check(t, engine, "13", ""); r.Passed || !strings.Contains(r.Says, "5 of 7 expectations hold") || !strings.Contains(r.Says, `name "query"`) {
		t.Errorf("half done: %s", r.Says)
	}
	if v, err := engine.Reset("13"); err != nil || v.State != labs.New {
		t.Errorf("reset: %+v, %v", v, err)
	}
	if _, err := os.Stat(started.Where); !os.IsNotExist(err) {
		t.Errorf("the working copy is there after a reset: %v", err)
	}
}

// TestLabCommands does a lab by `etude lab` against a running demo, and sees by the
// page's routes how far it is.
func TestLabCommands(t *testing.T) {
	t.Parallel()
	own := t.TempDir()
	writeLab(t, filepath.Join(own, "20-of-a-teacher"))
	d := startDemo(t, "--labs", own)
	lab := func(status int, args ...string) string {
		t.Helper()
		p := start(t, nil, append([]string{"lab", "--page-url", d.url(listen.PortPage, "")}, args...)...)
		if got := p.ended(); got != status {
			t.Errorf("lab %s: status %d, want %d", strings.Join(args, " "), got, status)
		}
		return p.out.String()
	}
	says := func(text string, words ...string) {
		t.Helper()
		for _, w := range words {
			if !strings.Contains(text, w) {
				t.Errorf("it does not say %q:\n%s", w, text)
			}
		}
	}
	says(lab(0, "list"), "Find the slow part", "20-of-a-teacher", "Next: etude lab start 01-find-the-slow-part")
	says(lab(1, "check", "3", "1"), "start it first")
	says(lab(0, "start", "3"), "# Who broke the trace?", "uber-trace-id", "2  uservice4 did not use the header", "etude lab check 3 NUMBER")
	says(lab(0, "hint", "3"), "Hint 1 of 3: Compare")
	says(lab(1, "check", "3", "1"), "Does one of them")
	says(lab(0, "check", "3", "2"), "Right.")
	says(lab(0, "next"), "# Find the slow part")
	says(lab(1, "start", "99"), "no lab is called")
	says(lab(0, "start", "20"), "The lesson of a teacher")
	says(lab(0, "check", "20", "tea"), "Right.")
	says(lab(0, "reset", "20"), "is reset")
	file := filepath.Join(t.TempDir(), "expectations.traceql")
	if err := os.WriteFile(file, []byte("=1 { name = \"checkout\" } > { name = \"SELECT stock\" }\n=1 { name = \"checkout\" } > { name = \"charge\" }\n! { status = error }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lab(0, "start", "14")
	says(lab(0, "check", "14", "-f", file), "Right.")
	lab(0, "start", "11")
	eventually(t, "an exemplar of a metric leads to the slow trace of lab 11", func() error {
		slow := search(t, d.url(listen.PortAPI, ""), "q="+url.QueryEscape(`{ resource.service.name = "lab-payments" && duration > 1s }`))
		query := url.Values{"query": {`traces_spanmetrics_latency_bucket{service="lab-payments"}`}, "start": {fmt.Sprint(time.Now().Unix() - 600)}, "end": {fmt.Sprint(time.Now().Unix() + 60)}}
		if _, body := get(t, d.url(listen.PortPrometheus, "/api/v1/query_exemplars?"+query.Encode())); len(slow) != 1 || !strings.Contains(body, slow[0]) {
			return fmt.Errorf("slow: %v, exemplars: %s", slow, body)
		}
		return nil
	})
	_, body := get(t, d.url(listen.PortPage, "/api/etude/labs"))
	var answer struct {
		Labs []labs.View
		Next string
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Next != "01-find-the-slow-part" || answer.Labs[2].State != labs.Done || answer.Labs[2].Hints != 1 {
		t.Errorf("%v in %s", err, body)
	}
	if status, body := get(t, d.url(listen.PortPage, "/api/etude/labs/99-none")); status != http.StatusNotFound || !strings.Contains(body, "no lab is called") {
		t.Errorf("an unknown lab: %d %s", status, body)
	}
}

// writeLab writes a small lab as docs/teaching.md has it.
func writeLab(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"lab.yaml": `
title: What was drunk
minutes: 2
start: {draw: spans.txt, says: 'Search for { resource.lab = "${run}" }.'}
answer: text
question: What did the shop sell?
check:
  accept: [{names: '{ resource.lab = "${run}" && kind = client }'}]
  else: Look for the span of kind client.
hints: [a, b, c]
solution: {answer: tea, why: The span says so.}
`, "lesson.md": "# The lesson of a teacher\n", "spans.txt": "trace t\n0ms 5ms shop sell server\n  1ms 2ms shop tea client\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLabsOfATeacherAreChecked: a mistake in a folder of --labs stops the start and
// names file and fault.
func TestLabsOfATeacherAreChecked(t *testing.T) {
	t.Parallel()
	own := t.TempDir()
	writeLab(t, filepath.Join(own, "20-x"))
	if err := os.WriteFile(filepath.Join(own, "20-x", "lab.yaml"), []byte("title: x\nminuets: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := labs.Load(labs.Own(), os.DirFS(own)); err == nil || !strings.Contains(fmt.Sprint(err), "20-x") || !strings.Contains(fmt.Sprint(err), "minuets") {
		t.Errorf("got %v", err)
	}
}
