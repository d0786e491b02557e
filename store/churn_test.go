package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"etude/store"
	"etude/trace"
)

// killChurn makes the process to be killed cut, merge and delete all the time. Its
// value is the bound on disk, in bytes.
const killChurn = "ETUDE_TEST_KILL_CHURN"

// The n-th request has the spans of one of churnTraces traces, and each trace goes on
// churnParts times. So every trace lies in many Tables and blocks.
const (
	churnTraces = 61
	churnParts  = 8
)

// churned returns the trace of a request, and its first span there.
func churned(number int) (traceNumber, from int) {
	epoch, n := number/(churnTraces*churnParts), number%(churnTraces*churnParts)
	return epoch*churnTraces + n%churnTraces, n / churnTraces * spansEach
}

func churnOptions(dir string, disk int64) store.Options {
	return store.Options{Dir: dir, TableSpans: 20 * spansEach, MaxDisk: disk, Blocks: &store.BlockOptions{After: never}}
}

// churnForEver prints a line for each request that was acknowledged: its number, when
// it began and ended, and how many merges there were. Meanwhile it cuts and merges
// without a break.
func churnForEver(dir string) error {
	disk, err := strconv.ParseInt(os.Getenv(killChurn), 10, 64)
	if err != nil {
		return err
	}
	s, err := store.Open(churnOptions(dir, disk))
	if err != nil {
		return err
	}
	first, err := highest(s)
	if err != nil {
		return err
	}
	var next atomic.Int64
	next.Store(int64(first))
	failed := make(chan error)
	ctx := context.Background()
	go func() {
		for {
			if err := s.CutAll(ctx); err != nil {
				failed <- err
				return
			}
		}
	}()
	go func() {
		for {
			s.Merge(ctx, later())
		}
	}()
	for range 8 {
		go func() {
			for {
				number := int(next.Add(1))
				traceNumber, from := churned(number)
				began := time.Now()
				if _, err := s.Append(ctx, laterSpans(traceNumber, from, spansEach)); err != nil {
					failed <- err
					return
				}
				fmt.Println(number, began.UnixNano(), time.Now().UnixNano(), s.Stats().Merges)
			}
		}()
	}
	return <-failed
}

// highest returns a number that no request in a store has reached.
func highest(s *store.Store) (number int, err error) {
	found, err := counts(s)
	if err != nil {
		return 0, err
	}
	for id := range found {
		epoch := traceNumberOf(id) / churnTraces
		number = max(number, (epoch+1)*churnTraces*churnParts)
	}
	return number, nil
}

// request is one that was acknowledged.
type request struct {
	number       int
	began, ended int64 // unix ns
	merges       int   // in the process, until then
}

// TestKillDuringCutsAndMerges kills a process that cuts, merges and, in every other
// directory, deletes all the time, at a random moment, also of its start. Whatever was
// acknowledged must be there, each span once, but for the oldest that a bound on disk
// deletes.
func TestKillDuringCutsAndMerges(t *testing.T) {
	t.Parallel()
	few := 12
	if testing.Short() {
		few = 4
	}
	rounds := killRounds(t, few)
	for _, disk := range []int64{0, 512 << 10} {
		t.Run(fmt.Sprint("disk ", disk), func(t *testing.T) {
			t.Parallel()
			var dir string
			var acked []request
			for round := range rounds / 2 {
				if round%20 == 0 { // so that a check stays short
					dir, acked = t.TempDir(), nil
				}
				acked = append(acked, churnedRun(t, dir, disk)...)
				checkChurned(t, dir, disk, acked)
				if t.Failed() {
					t.Fatalf("round %d, directory kept at %s", round, keep(t, dir))
				}
			}
		})
	}
}

// killRounds is how often a process is killed: few by default, as many as
// ETUDE_CRASH_ROUNDS says for a long run.
func killRounds(t *testing.T, few int) int {
	text := os.Getenv("ETUDE_CRASH_ROUNDS")
	if text == "" {
		return few
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("ETUDE_CRASH_ROUNDS: %v", err)
	}
	return n
}

// keep copies a directory to where the test does not remove it.
func keep(t *testing.T, dir string) string {
	to := filepath.Join(os.TempDir(), fmt.Sprintf("etude-kill-%d", time.Now().UnixNano()))
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Log(err)
	}
	return to
}

// checkChurned opens a directory as the next start would.
func checkChurned(t *testing.T, dir string, disk int64, acked []request) {
	t.Helper()
	var log strings.Builder
	o := churnOptions(dir, disk)
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	s := mustOpen(t, o)
	defer s.Close()
	found, err := counts(s)
	if err != nil {
		t.Fatal(err)
	}
	oldest := int64(0) // when the first request that is still there had ended
	missing := []request{}
	for _, r := range acked {
		traceNumber, from := churned(r.number)
		here := 0
		for i := range spansEach {
			switch n := found[traceID(traceNumber)][trace.SpanID(spanID(traceNumber, from+i+1))]; {
			case n > 1:
				t.Errorf("trace %d has span %d %d times", traceNumber, from+i, n)
			case n == 1:
				here++
			}
		}
		switch {
		case here == 0:
			missing = append(missing, r)
		case here < spansEach:
			t.Errorf("%d spans of request %d are there", here, r.number)
		case oldest == 0 || r.ended < oldest:
			oldest = r.ended
		}
	}
	st := s.Stats()
	if disk == 0 && len(missing) > 0 || len(missing) == len(acked) && len(acked) > 0 {
		t.Errorf("%d of %d requests that were acknowledged are missing, such as %+v", len(missing), len(acked), missing[0])
	}
	for _, r := range missing {
		if r.began > oldest {
			t.Errorf("request %+v is missing, and an older one is there, which ended at %d", r, oldest)
		}
	}
	if len(missing) > 0 && st.DiskBytes+st.BlockBytes < disk/4 {
		t.Errorf("%d requests were deleted, and only %d of %d bytes are in use", len(missing), st.DiskBytes+st.BlockBytes, disk)
	}
	if st.Problems != 0 || st.Damaged != 0 {
		t.Errorf("problems: %q, stats %+v, log:\n%s", s.Problems(), st, &log)
	}
}

// churnedRun starts a child, kills it at a random moment, and returns the requests that it acknowledged.
func churnedRun(t *testing.T, dir string, disk int64) (acked []request) {
	t.Helper()
	cmd, lines := startChild(t, killDir+"="+dir, killChurn+"="+fmt.Sprint(disk))
	enough, merges := 1+rand.IntN(600), 0
	if disk == 0 { // Otherwise blocks may be too large to merge.
		merges = 1 + rand.IntN(4)
	}
	if rand.IntN(4) == 0 { // while it starts, or soon after
		timer := time.AfterFunc(time.Duration(rand.Int64N(int64(60*time.Millisecond))), func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
		enough = -1
	}
	for line := range lines {
		var r request
		if _, err := fmt.Sscan(line, &r.number, &r.began, &r.ended, &r.merges); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		if acked = append(acked, r); enough > 0 && len(acked) >= enough && r.merges >= merges {
			_ = cmd.Process.Kill()
		}
	}
	if cmd.Wait() == nil || len(acked) < enough {
		t.Fatalf("the process ended by itself after %d acknowledgements", len(acked))
	}
	return acked
}
