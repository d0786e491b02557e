package program

import (
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"google.golang.org/protobuf/proto"

	"etude/labs/scenario"
)

// sendEnv makes the test binary be a command that sends spans: what `etude test`
// runs in these tests. Its value says how.
const sendEnv = "ETUDE_TEST_SENDER"

// sender is a command line that runs TestSender in that way.
func sender(t *testing.T, how string) []string {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"env", "-u", asProgram, sendEnv + "=" + how, executable, "-test.run=^TestSender$"}
}

// TestSender is the command. It ends the process itself.
func TestSender(t *testing.T) {
	switch how := os.Getenv(sendEnv); how {
	case "":
		t.Skip("only as a command")
	case "order": // a trace
		sendDrawing("trace order\n0ms 90ms shop order server\n  10ms 20ms shop charge client")
	case "fails": // a trace, and a status of its own
		sendDrawing("trace order\n0ms 90ms shop order server error=refused")
		os.Exit(7)
	case "signal": // waits for a signal and says which
		got := make(chan os.Signal, 1)
		signal.Notify(got, os.Interrupt, syscall.SIGTERM)
		fmt.Println("the command waits")
		s := <-got
		sendDrawing("trace stop\n0ms 1ms shop stopped signal=" + strings.ReplaceAll(s.String(), " ", "-"))
		os.Exit(9)
	case "late": // ends while a child of its own lives on, which then sends
		child := exec.Command(os.Args[0], os.Args[1:]...)
		child.Env = append(os.Environ(), sendEnv+"=orphan")
		if _, err := child.StdinPipe(); err != nil {
			os.Exit(3)
		}
		if err := child.Start(); err != nil {
			os.Exit(3)
		}
	case "orphan": // the end of its input is the end of its parent
		_, _ = io.Copy(io.Discard, os.Stdin)
		sendDrawing("trace late\n0ms 1ms worker late")
	case "environment":
		for _, key := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER", "OTEL_SERVICE_NAME", "OTEL_METRICS_EXPORTER"} {
			fmt.Printf("%s=%q\n", key, os.Getenv(key))
		}
		answer, err := http.Get(os.Getenv("ETUDE_TEST_API") + "/ready")
		if err != nil || answer.StatusCode != http.StatusOK {
			os.Exit(4)
		}
	default:
		os.Exit(5)
	}
	os.Exit(0)
}

// sendDrawing sends spans as an SDK would, by what the environment says.
func sendDrawing(drawing string) {
	drawn, err := scenario.Draw(drawing, scenario.Options{Now: time.Now(), Rand: rand.New(rand.NewPCG(rand.Uint64(), 1))})
	if err != nil {
		panic(err)
	}
	payload, err := proto.Marshal(drawn.Data)
	if err != nil {
		panic(err)
	}
	answer, err := http.Post(os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")+"/v1/traces", "application/x-protobuf", strings.NewReader(string(payload)))
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		panic(answer.Status)
	}
}

// runTest runs `etude test` and returns its exit status.
func runTest(t *testing.T, env []string, args ...string) (status int, said string) {
	t.Helper()
	p := start(t, env, append([]string{"test"}, args...)...)
	status = p.ended()
	return status, p.out.String()
}

func needEnv(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("env"); err != nil {
		t.Skip("the commands of these tests need env(1): ", err)
	}
}

func TestTestVerdicts(t *testing.T) {
	t.Parallel()
	needEnv(t)
	none := "--baseline=" + filepath.Join(t.TempDir(), "none")
	for _, c := range []struct {
		name   string
		args   []string
		how    string
		status int
		says   []string
	}{
		{"holds", []string{"-e", `{ name = "order" } > { name = "charge" }`, "-e", "! { status = error }"}, "order", 0,
			[]string{"2 spans in 1 trace", `pass  { name = "order" } > { name = "charge" }`, "pass  never { status = error }", "2 of 2 expectations hold"}},
		{"fails", []string{"-e", `{ name = "charge" && status = error }`}, "order", 1,
			[]string{"fail  {", "nearest: 1 span matches all but `status = error`; the nearest: shop charge has status unset", "0 of 1 expectations hold"}},
		{"the command's own status", []string{"-e", `{ statusMessage = "refused" }`}, "fails", 7, []string{"1 of 1 expectations hold", "the command ended with status 7"}},
		{"an expectation goes before it", []string{"-e", `! { statusMessage = "refused" }`}, "fails", 1, []string{"0 of 1 expectations hold", "the command ended with status 7"}},
		{"nothing expected", nil, "order", 0, []string{"2 spans in 1 trace"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			status, said := runTest(t, nil, append(append([]string{none}, c.args...), append([]string{"--"}, sender(t, c.how)...)...)...)
			if status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			for _, text := range c.says {
				if !strings.Contains(said, text) {
					t.Errorf("it does not say %q:\n%s", text, said)
				}
			}
		})
	}
}

// TestTestWaitsForLateSpans: a process that outlives the command is waited for as
// long as the expectation says.
func TestTestWaitsForLateSpans(t *testing.T) {
	t.Parallel()
	needEnv(t)
	file := filepath.Join(t.TempDir(), "late.yaml")
	if err := os.WriteFile(file, []byte("expect: [{must: '{ name = \"late\" }', within: 30s}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, said := runTest(t, nil, append([]string{"-f", file, "--quiet=1ms", "--"}, sender(t, "late")...)...); status != 0 {
		t.Errorf("status %d:\n%s", status, said)
	}
}

// TestTestPassesSignalsOn: the command gets the signal, and its last spans count.
func TestTestPassesSignalsOn(t *testing.T) {
	t.Parallel()
	needEnv(t)
	p := start(t, nil, append([]string{"test", "-e", `{ span.signal = "terminated" }`, "--"}, sender(t, "signal")...)...)
	p.says("the command waits")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := p.ended(); status != 9 || !strings.Contains(p.out.String(), "1 of 1 expectations hold") {
		t.Errorf("status %d", status)
	}
}

// TestTestEnvironment: the user's settings for other backends do not lead the
// spans astray, and etude's own variables mean nothing here.
func TestTestEnvironment(t *testing.T) {
	t.Parallel()
	needEnv(t)
	status, said := runTest(t, []string{"OTEL_EXPORTER_OTLP_HEADERS=a=b", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://192.0.2.1:4318", "OTEL_SDK_DISABLED=true",
		"OTEL_TRACES_SAMPLER=always_off", "OTEL_SERVICE_NAME=mine", "ETUDE_MULTITENANCY=true", "ETUDE_AUTH_TOKEN_FILE=/none"}, append([]string{"--"}, sender(t, "environment")...)...)
	want := "OTEL_EXPORTER_OTLP_HEADERS=\"\"\nOTEL_EXPORTER_OTLP_TRACES_ENDPOINT=\"\"\nOTEL_SDK_DISABLED=\"\"\nOTEL_TRACES_SAMPLER=\"always_on\"\nOTEL_SERVICE_NAME=\"mine\"\nOTEL_METRICS_EXPORTER=\"none\"\n"
	if status != 0 || !strings.Contains(said, want) {
		t.Errorf("status %d, it says\n%s\nwant\n%s", status, said, want)
	}
}

func TestTestMistakes(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "e.yaml")
	if err := os.WriteFile(file, []byte("expect:\n- must: '{ }'\n  cuont: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"-f", file, "--", "true"}, "line 3: field cuont does not exist"},
		{[]string{"-f", "none.yaml", "--", "true"}, "read expectations: open none.yaml"},
		{[]string{"-e", "{ nmae = 1 }", "--", "true"}, "unknown identifier: nmae"},
		{nil, "no command: write it after --"},
		{[]string{"--", "/no/such/command"}, "start the command"},
		{[]string{"--junit", "/no/such/dir/j.xml", "--", "true"}, "write the JUnit report"},
	} {
		if status, said := runTest(t, nil, c.args...); status != 1 || !strings.Contains(said, c.says) {
			t.Errorf("%q: status %d, it says %q, want %q", c.args, status, said, c.says)
		}
	}
	if status, said := runTest(t, nil, "--schema"); status != 0 || !strings.Contains(said, "json-schema.org") {
		t.Errorf("--schema: status %d, %s", status, said)
	}
}

// TestTestBaseline: --update writes the shape, the same run has no difference,
// another has, and says which.
func TestTestBaseline(t *testing.T) {
	t.Parallel()
	needEnv(t)
	baseline := "--baseline=" + filepath.Join(t.TempDir(), "shape.txt")
	run := func(how string, args ...string) (int, string) {
		return runTest(t, nil, append(append([]string{baseline}, args...), append([]string{"--"}, sender(t, how)...)...)...)
	}
	if status, said := run("order", "--update"); status != 0 || !strings.Contains(said, "wrote the shape") {
		t.Fatalf("--update: status %d, %s", status, said)
	}
	if status, said := run("order"); status != 0 || !strings.Contains(said, "pass  the shape of the traces") {
		t.Errorf("the same: status %d, %s", status, said)
	}
	status, said := run("fails")
	for _, line := range []string{"-   shop order server", "-     shop charge client", "+   shop order server error"} {
		if !strings.Contains(said, line) {
			t.Errorf("the difference has no line %q:\n%s", line, said)
		}
	}
	if status != 1 {
		t.Errorf("a difference ends with status %d, want 1", status)
	}
}

// readJUnit reads a report as the readers of CI systems do.
// suiteRead is what these tests read of a report.
type suiteRead struct {
	Name     string `xml:"name,attr"`
	Tests    int    `xml:"tests,attr"`
	Failures int    `xml:"failures,attr"`
	Cases    []struct {
		Name    string `xml:"name,attr"`
		Class   string `xml:"classname,attr"`
		Failure *struct {
			Text string `xml:",chardata"`
		} `xml:"failure"`
	} `xml:"testcase"`
}

func readJUnit(t *testing.T, file string) (suite suiteRead) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var suites struct {
		XMLName xml.Name    `xml:"testsuites"`
		Suites  []suiteRead `xml:"testsuite"`
	}
	d := xml.NewDecoder(strings.NewReader(string(data)))
	d.Strict = true
	if err := d.Decode(&suites); err != nil || len(suites.Suites) != 1 {
		t.Fatalf("%v in %s", err, data)
	}
	suite = suites.Suites[0]
	failures := 0
	for _, c := range suite.Cases {
		if c.Name == "" || c.Class == "" {
			t.Errorf("a case without name or class: %+v", c)
		}
		if c.Failure != nil {
			failures++
		}
	}
	if suite.Tests != len(suite.Cases) || suite.Failures != failures {
		t.Errorf("the suite counts %d cases and %d failures, has %d and %d", suite.Tests, suite.Failures, len(suite.Cases), failures)
	}
	return suite
}

// goCaches are the variables by which a go command with another HOME finds what
// has been downloaded and built.
func goCaches(t *testing.T) (env []string) {
	t.Helper()
	said, err := exec.Command("go", "env", "GOMODCACHE", "GOCACHE").Output()
	if err != nil {
		t.Skip("needs the go command: ", err)
	}
	lines := strings.Fields(string(said))
	return []string{"GOMODCACHE=" + lines[0], "GOCACHE=" + lines[1]}
}

// TestTestGo: go test as the command, as examples/README.md has it.
func TestTestGo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	junit, record := filepath.Join(dir, "junit.xml"), filepath.Join(dir, "traces.html")
	status, said := runTest(t, goCaches(t), "-f", "../examples/go/expectations.yaml", "-e", `=2 { name = "checkout" && span.cart.size > 1 }`,
		"--junit", junit, "--record", record, "--", "go", "test", "-count=1", "../examples/go")
	if status != 1 || !strings.Contains(said, "4 of 5 expectations hold") ||
		!strings.Contains(said, "nearest: 1 span matches all but `span.cart.size > 1`; the nearest: unknown_service:go.test checkout has span.cart.size \"") {
		t.Errorf("status %d:\n%s", status, said)
	}
	suite := readJUnit(t, junit)
	if suite.Tests != 6 || suite.Failures != 1 || suite.Cases[5].Failure == nil || !strings.Contains(suite.Cases[5].Failure.Text, "found:   1 span in 1 trace") {
		t.Errorf("JUnit has %+v", suite)
	}
	t.Run("the recording opens offline", func(t *testing.T) {
		b := openBrowser(t, 1280, 800)
		b.do("open the file", chromedp.Navigate("file://"+filepath.ToSlash(record)))
		b.shows("a trace", "document.querySelectorAll('[data-testid=\"span-row\"]').length === 3")
		b.shows("both traces in the list", count("option", 2))
		b.shows("the report", has(id("shared-report"), "4 of 5 expectations hold"))
		other := eval[string](b, "document.querySelectorAll('option')[1].value")
		before := eval[string](b, `document.querySelector('[data-testid="trace-stats"]').innerText`)
		eval[bool](b, fmt.Sprintf(`(() => { const s = document.querySelector(%q); s.value = s.options[1].value; s.dispatchEvent(new Event("change", {bubbles: true})); return true; })()`, id("shared-trace")))
		b.shows("the other trace, in the address too", fmt.Sprintf("location.hash.includes(%q) && document.querySelector('[data-testid=\"trace-stats\"]').innerText !== %q", other, before))
		if requests := eval[int](b, "performance.getEntriesByType('resource').length"); requests != 0 {
			t.Errorf("the recording made %d requests", requests)
		}
		b.do("open the report", chromedp.Click(id("shared-report")+" summary", chromedp.NodeVisible))
		b.shows("what was wanted", has(id("shared-report"), "span.cart.size > 1"))
		b.clean()
		t.Run("accessible", func(t *testing.T) {
			script := axe(t)
			b.t = t
			b.breaksNoRule(script, "the recording")
		})
	})
}

const nodeExample = "../examples/node"

// quietNPM keeps npm from asking whether there is a newer one.
var quietNPM = []string{"npm_config_update_notifier=false"}

// TestTestNode: npm test as the command, as examples/README.md has it.
func TestTestNode(t *testing.T) {
	t.Parallel()
	needNode(t, nodeExample)
	junit := filepath.Join(t.TempDir(), "junit.xml")
	args := []string{"-f", nodeExample + "/expectations.yaml", "--junit", junit}
	command := []string{"--", "npm", "--prefix", nodeExample, "test"}
	if status, said := runTest(t, quietNPM, append(args, command...)...); status != 0 || !strings.Contains(said, "4 of 4 expectations hold") {
		t.Errorf("status %d:\n%s", status, said)
	}
	if suite := readJUnit(t, junit); suite.Tests != 5 || suite.Failures != 0 {
		t.Errorf("JUnit has %+v", suite)
	}
	status, said := runTest(t, quietNPM, append(append(args, "-e", `{ resource.service.name = "shop" && name = "refund" }`), command...)...)
	if status != 1 || !strings.Contains(said, `nearest: 6 spans match all but `+"`name = \"refund\"`"+`; the nearest: shop`) {
		t.Errorf("status %d:\n%s", status, said)
	}
	if suite := readJUnit(t, junit); suite.Tests != 6 || suite.Failures != 1 {
		t.Errorf("JUnit has %+v", suite)
	}
}
