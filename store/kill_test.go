package store_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"etude/store"
)

const killDir = "ETUDE_TEST_KILL_DIR"

// TestMain turns the test binary into a child for startChild when killDir is set.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		run := appendForEver
		if os.Getenv(killChurn) != "" {
			run = churnForEver
		}
		if err := run(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// appendForEver prints the number of each payload once it is acknowledged.
func appendForEver(dir string) error {
	s, err := store.Open(store.Options{Dir: dir, TableSpans: 500})
	if err != nil {
		return err
	}
	var next atomic.Int64
	next.Store(int64(total(s)) * 10) // Numbers of earlier runs are not used again.
	failed := make(chan error)
	for range 8 {
		go func() {
			for {
				number := int(next.Add(1))
				if _, err := s.Append(context.Background(), payload(number, spansEach)); err != nil {
					failed <- err
					return
				}
				fmt.Println(number)
			}
		}()
	}
	return <-failed
}

// A process that is killed right after an acknowledgement has lost nothing that
// it acknowledged, round after round on the same directory.
func TestKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var acknowledged []int
	for round := range 6 {
		acknowledged = append(acknowledged, killedRun(t, dir, 50+97*round)...)
	}
	s := mustOpen(t, store.Options{Dir: dir})
	defer s.Close()
	for _, number := range acknowledged {
		if n := spansOf(s, number); n != spansEach {
			t.Errorf("payload %d was acknowledged and has %d spans of %d", number, n, spansEach)
		}
	}
	if s.Stats().Damaged != 0 {
		t.Errorf("damage after kills: %+v", s.Stats())
	}
}

// killedRun starts a child, kills it after some acknowledgements, and returns all numbers that it printed.
func killedRun(t *testing.T, dir string, after int) (numbers []int) {
	t.Helper()
	cmd, lines := startChild(t, killDir+"="+dir)
	for line := range lines {
		number, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, number)
		if len(numbers) == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait() // Killed.
	if len(numbers) < after {
		t.Fatalf("the process ended by itself after %d acknowledgements", len(numbers))
	}
	return numbers
}

// startChild starts this test binary as a child; the variables tell TestMain which function the child runs. lines
// yields the complete lines that the child prints until it ends. A line cut short by a kill does not count.
func startChild(t *testing.T, env ...string) (cmd *exec.Cmd, lines iter.Seq[string]) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	printed := bufio.NewReader(out)
	return cmd, func(yield func(string) bool) {
		for {
			line, err := printed.ReadString('\n')
			if err != nil && err != io.EOF {
				t.Error(err)
			}
			if err != nil || !yield(strings.TrimSuffix(line, "\n")) {
				return
			}
		}
	}
}
