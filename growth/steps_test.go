package growth

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"etude/internal/testkit"
)

// A loop that allocates nothing is found by counting how often each statement is
// executed. So the tests are built with the counters of test coverage, and each
// measurement is a process of its own that writes its counts to a file.

// counted are the packages whose statements are counted.
const counted = "etude/trace,etude/otlp,etude/store,etude/query,etude/api,etude/traceql/...,etude/metrics/generator"

// leastSteps is how often a statement is executed at least, so that one that only
// begins at some size is not taken for growth.
const leastSteps = 10_000

// childEnv tells a process to do one measurement: mode, dimension and number.
const childEnv = "ETUDE_GROWTH"

// TestMeasure is what such a process does.
func TestMeasure(t *testing.T) {
	var m, d, n int
	if _, err := fmt.Sscan(os.Getenv(childEnv), &m, &d, &n); err != nil {
		t.Skip("only in a process of TestHostileStatements")
	}
	measure(t, &dimensions[d], n, modes[m].limits)
}

// TestHostileStatements sends n and 4n of everything, and compares how often each
// statement is executed.
func TestHostileStatements(t *testing.T) {
	testkit.Hostile(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "growth.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", program, "-cover", "-covermode=count", "-coverpkg="+counted, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for m := range modes {
		for d := range dimensions {
			t.Run(modes[m].name+"/"+dimensions[d].name, func(t *testing.T) {
				t.Parallel()
				var counts [2]map[string]float64
				var both sync.WaitGroup
				for i, n := range []int{2 * dimensions[d].n, 8 * dimensions[d].n} {
					both.Go(func() { counts[i] = statements(t, program, fmt.Sprint(m, d, n)) })
				}
				both.Wait()
				report(t, counts[0], counts[1])
			})
		}
	}
}

// statements returns how often each statement is executed in one measurement.
func statements(t *testing.T, program, what string) map[string]float64 {
	profile := filepath.Join(t.TempDir(), "profile")
	run := exec.CommandContext(t.Context(), program, "-test.run", "^TestMeasure$", "-test.coverprofile", profile)
	run.Env = append(os.Environ(), childEnv+"="+what)
	if out, err := run.CombinedOutput(); err != nil {
		t.Errorf("measure %s: %v\n%s", what, err, out)
		return nil
	}
	f, err := os.Open(profile)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer f.Close()
	times := map[string]float64{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// file.go:12.3,14.5 statements times
		if at, rest, ok := strings.Cut(lines.Text(), " "); ok {
			_, n, _ := strings.Cut(rest, " ")
			count, _ := strconv.ParseFloat(n, 64)
			times[at] += count
		}
	}
	return times
}

// report fails for the statements that are executed too often more, the worst
// first.
func report(t *testing.T, once, fourTimes map[string]float64) {
	if len(once) < 1000 {
		t.Errorf("%d statements counted, want thousands", len(once))
	}
	ratio := func(at string) float64 { return fourTimes[at] / max(once[at], leastSteps) }
	var worst []string
	for at := range fourTimes {
		if ratio(at) > perDoubling*perDoubling {
			worst = append(worst, at)
		}
	}
	slices.SortFunc(worst, func(a, b string) int { return int(fourTimes[b] - fourTimes[a]) })
	for _, at := range worst[:min(len(worst), 5)] {
		t.Errorf("%s is executed %.0f times, then %.0f times: %.1f times as often, want at most %.2f", at, once[at], fourTimes[at], ratio(at), perDoubling*perDoubling)
	}
}
