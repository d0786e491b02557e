// Package testcmd is `etude test`: it runs a command against a backend of its own and checks expectations about
// the spans it receives.
package testcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"etude/assert"
	"etude/page"
	"etude/program/backend"
	"etude/program/proc"
)

// Command runs a command against a backend of its own and checks its spans.
//
// Order: the backend listens before the command starts, and the verdicts are final only after the command has
// exited and its spans have arrived. An SDK sends its pending spans before its process exits, and the backend
// finds acknowledged spans at once. So all spans of the command itself have arrived when it exits. For spans of
// processes that outlive the command, etude waits until no span has arrived for --quiet, and for as long as an
// expectation's `within`.
type Command struct {
	File     []string      `name:"file" short:"f" placeholder:"FILE" help:"File of expectations, as YAML or, with the extension .traceql or .txt, as lines of TraceQL. See docs/testing.md."`
	Expect   []string      `name:"expect" short:"e" sep:"none" placeholder:"TRACEQL" help:"Expectation: '{...}' must match, '! {...}' must not match, '=2 {...}' must match exactly 2 spans; also >=2 and <=2."`
	JUnit    string        `name:"junit" placeholder:"FILE" help:"File to write the verdicts to, as JUnit XML."`
	Record   string        `name:"record" placeholder:"FILE" help:"File to write all traces and verdicts to, as one HTML page that opens without a server."`
	Baseline string        `name:"baseline" default:"etude-shape.txt" placeholder:"FILE" help:"File with the shape of an earlier run's traces: which spans call which, and how often. If it exists, a difference is a failure."`
	Update   bool          `name:"update" help:"Write the baseline from this run."`
	Quiet    time.Duration `name:"quiet" default:"100ms" help:"Time without a new span, after the command has exited, that ends the wait for spans."`
	Schema   bool          `name:"schema" help:"Print the JSON schema of expectation files, and exit."`
	Command  []string      `arg:"" optional:"" passthrough:"" help:"Command and its arguments, after --."`
}

// maxQuiet limits how long the run waits for spans that keep arriving after the command has exited.
const maxQuiet = 30 * time.Second

// Run returns the command's own status, or 1 when an expectation fails.
func (c *Command) Run(p *proc.Proc) error {
	if c.Schema {
		_, err := io.WriteString(p.Stdout, assert.Schema)
		return err
	}
	spec, err := c.spec()
	if err != nil {
		return err
	}
	if len(c.Command) > 0 && c.Command[0] == "--" {
		c.Command = c.Command[1:]
	}
	if len(c.Command) == 0 {
		return errors.New("no command: write it after --, as in `etude test -f expectations.yaml -- go test ./...`")
	}
	backend, err := backend.StartEphemeral(p.Build, slog.New(slog.NewTextHandler(p.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	run := &testRun{cmd: c, backend: backend, checker: assert.NewChecker(spec, backend.Source), stderr: p.Stderr}
	return errors.Join(run.run(p), backend.Close())
}

// spec joins the expectations of all files and of the command line.
func (c *Command) spec() (*assert.Spec, error) {
	spec := &assert.Spec{}
	for _, name := range c.File {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read expectations: %w", err)
		}
		more, err := assert.Parse(name, data)
		if err != nil {
			return nil, err
		}
		spec.Expect = append(spec.Expect, more.Expect...)
	}
	for _, line := range c.Expect {
		more, err := assert.ParseLines([]byte(line))
		if err != nil {
			return nil, fmt.Errorf("--expect %q: %w", line, err)
		}
		spec.Expect = append(spec.Expect, more.Expect...)
	}
	return spec, nil
}

// testRun is one run of a command, and the verdicts on its spans.
type testRun struct {
	cmd     *Command
	backend *backend.Ephemeral
	checker *assert.Checker
	stderr  io.Writer

	status   int           // of the command
	took     time.Duration // of the command
	verdicts []assert.Verdict
}

func (r *testRun) run(p *proc.Proc) error {
	began := time.Now()
	child, err := startChild(r.cmd.Command, r.environment(), p)
	if err != nil {
		return err
	}
	// An interrupted command exits by itself, because it gets the signal too. Its spans are checked in any
	// case.
	ctx := context.WithoutCancel(p.Ctx)
	if err := r.watch(ctx, child.ended); err != nil {
		child.kill()
		return err
	}
	r.status, r.took = child.status(), time.Since(began)
	if err := r.checker.Finish(ctx); err != nil {
		return err
	}
	r.verdicts = r.checker.Verdicts()
	if err := r.report(ctx); err != nil {
		return err
	}
	return r.exit()
}

// exit returns status 1 for a failed expectation, otherwise the command's own status.
func (r *testRun) exit() error {
	switch {
	case r.failed() > 0:
		return proc.ExitStatus(1)
	case r.status != 0:
		return proc.ExitStatus(r.status)
	}
	return nil
}

func (r *testRun) failed() (n int) {
	for _, v := range r.verdicts {
		if v.Outcome == assert.Failed {
			n++
		}
	}
	return n
}

// watch evaluates the expectations while spans arrive. It ends when the command has exited and every
// expectation is decided or no more spans arrive.
func (r *testRun) watch(ctx context.Context, ended <-chan struct{}) error {
	const look, again = 5 * time.Millisecond, 500 * time.Millisecond
	tick := time.NewTicker(look)
	defer tick.Stop()
	var seen int64
	var end, next time.Time // end of the command; next evaluation
	last := time.Now()      // arrival of the latest span
	stale := true           // spans have arrived since the last evaluation
	for {
		select {
		case <-ended:
			ended, end = nil, time.Now()
			last, next, stale = end, time.Time{}, true
		case <-tick.C:
		}
		now := time.Now()
		if n := r.backend.Received(); n != seen {
			seen, last, stale = n, now, true
		}
		if stale && !now.Before(next) || now.Sub(next) > again {
			stale = false
			if err := r.checker.Update(ctx); err != nil {
				return err
			}
			// Evaluation takes at most a tenth of the time.
			next = now.Add(max(50*time.Millisecond, 10*time.Since(now)))
		}
		if !end.IsZero() && !stale && r.over(now.Sub(end), now.Sub(last)) {
			return nil
		}
	}
}

// over reports whether the wait for spans can end. since is the time since the command exited, silent the time
// since the last span.
func (r *testRun) over(since, silent time.Duration) bool {
	switch {
	case len(r.checker.Verdicts()) > 0 && r.checker.Decided() && !r.wantsAll():
		return true
	case since < r.checker.Wait():
		return false
	}
	return silent >= r.cmd.Quiet || since >= maxQuiet
}

// wantsAll reports whether the run needs spans beyond those the expectations match.
func (r *testRun) wantsAll() bool {
	if r.cmd.Update || r.cmd.Record != "" {
		return true
	}
	_, err := os.Stat(r.cmd.Baseline)
	return err == nil
}

// environment is the command's environment. It sends spans to this backend, and overrides the user's settings.
func (r *testRun) environment() (env []string) {
	for _, kv := range os.Environ() {
		key, _, _ := strings.Cut(kv, "=")
		elsewhere := strings.HasPrefix(key, "OTEL_EXPORTER_OTLP_") && !strings.HasSuffix(key, "_PROTOCOL") && !strings.HasSuffix(key, "_COMPRESSION")
		if !elsewhere && key != "OTEL_SDK_DISABLED" && key != "OTEL_TRACES_EXPORTER" && key != "OTEL_TRACES_SAMPLER" {
			env = append(env, kv)
		}
	}
	endpoint := r.backend.Endpoint()
	env = append(env, "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint, "OTEL_EXPORTER_OTLP_INSECURE=true", "OTEL_TRACES_EXPORTER=otlp", "OTEL_TRACES_SAMPLER=always_on",
		"OTEL_EXPORTER_ZIPKIN_ENDPOINT="+r.backend.ZipkinURL(),
		"ETUDE_TEST_API="+r.backend.APIURL())
	for key, value := range map[string]string{"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none", "OTEL_BSP_SCHEDULE_DELAY": "100"} {
		if os.Getenv(key) == "" {
			env = append(env, key+"="+value)
		}
	}
	return env
}

// report prints the verdicts and writes the requested files.
func (r *testRun) report(ctx context.Context) error {
	found, err := r.backend.Source.Search(ctx, "{ }")
	few := counted(len(found), "trace")
	if errors.Is(err, assert.ErrTooMany) && !r.wantsAll() {
		few, err = "very many traces", nil // a load test; only its expectations matter
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(r.stderr, "\netude test: %s in %s\n", counted(int(r.backend.Received()), "span"), few)
	if err := r.compareShape(ctx, found); err != nil {
		return err
	}
	for _, v := range r.verdicts {
		fmt.Fprintln(r.stderr, strings.TrimSuffix(v.String(), "\n"))
	}
	if len(r.verdicts) > 0 {
		fmt.Fprintf(r.stderr, "%d of %d expectations hold\n", len(r.verdicts)-r.failed(), len(r.verdicts))
	}
	if r.status != 0 {
		fmt.Fprintf(r.stderr, "the command ended with status %d\n", r.status)
	}
	if err := r.record(ctx, found); err != nil {
		return err
	}
	return r.writeJUnit()
}

// compareShape compares the traces with the baseline, or writes it.
func (r *testRun) compareShape(ctx context.Context, found []assert.Match) error {
	data, err := os.ReadFile(r.cmd.Baseline)
	switch {
	case r.cmd.Update:
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("read the baseline: %w", err)
	}
	traces, err := assert.Traces(ctx, r.backend.Source, found)
	if err != nil {
		return err
	}
	shape := assert.ShapeOf(traces)
	if r.cmd.Update {
		if err := os.WriteFile(r.cmd.Baseline, []byte(shape.String()), 0o644); err != nil {
			return fmt.Errorf("write the baseline: %w", err)
		}
		fmt.Fprintf(r.stderr, "wrote the shape of the traces to %s\n", r.cmd.Baseline)
		return nil
	}
	was, err := assert.ReadShape(data)
	if err != nil {
		return fmt.Errorf("read the baseline %s: %w", r.cmd.Baseline, err)
	}
	v := assert.Verdict{Name: "the shape of the traces", Outcome: assert.Passed, Wanted: "the traces of " + r.cmd.Baseline}
	if difference := shape.Difference(was); difference != "" {
		v.Outcome = assert.Failed
		v.Found = "others (-: the baseline, +: now; --update accepts them)\n" + strings.TrimSuffix(difference, "\n")
	}
	r.verdicts = append(r.verdicts, v)
	return nil
}

// maxRecorded bounds the traces of a recording.
const maxRecorded = 500

// record writes the newest traces, unchanged.
func (r *testRun) record(ctx context.Context, found []assert.Match) error {
	if r.cmd.Record == "" {
		return nil
	}
	recording := page.Recording{Title: "etude test -- " + strings.Join(r.cmd.Command, " ")}
	if len(found) > maxRecorded {
		fmt.Fprintf(r.stderr, "the recording has the newest %d of %d traces\n", maxRecorded, len(found))
		found = found[:maxRecorded]
	}
	traces, err := assert.Traces(ctx, r.backend.Source, found)
	if err != nil {
		return err
	}
	for _, t := range traces {
		spans, err := r.backend.Source.Bytes(ctx, t.ID)
		if err != nil {
			return err
		}
		recording.Traces = append(recording.Traces, page.RecordedTrace{ID: t.ID, Spans: spans,
			Title: fmt.Sprintf("%s, %d spans, %s", t.Spans[0], len(t.Spans), t.Duration().Round(10*time.Microsecond))})
	}
	for _, v := range r.verdicts {
		line := page.ReportLine{Name: v.Name, Outcome: string(v.Outcome)}
		if v.Outcome == assert.Failed {
			line.Why = v.Why()
		}
		recording.Report = append(recording.Report, line)
	}
	if err := writeFile(r.cmd.Record, recording.Write); err != nil {
		return fmt.Errorf("write the recording: %w", err)
	}
	fmt.Fprintf(r.stderr, "recorded in %s\n", r.cmd.Record)
	return nil
}

// writeFile writes a whole file: it is complete when writeFile returns.
func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// counted writes a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
