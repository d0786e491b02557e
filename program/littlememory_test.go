package program

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"etude/internal/testkit"
	"etude/program/listen"
	"etude/program/memory"
)

// littleMemory is what a backend of these tests may use.
const littleMemory = 300_000_000

// TestKilledWithLittleMemory fills a backend that has 300 MB with more spans than
// fit, kills it without warning, and starts it again, as often as rounds says. It
// comes up every time, within its memory, and has the newest spans that it
// acknowledged, up to what its bound holds.
func TestKilledWithLittleMemory(t *testing.T) {
	t.Parallel()
	rounds, spans := 2, 60_000
	if os.Getenv("ETUDE_HOSTILE") != "" {
		rounds, spans = 20, 400_000
	}
	killWithLittleMemory(t, rounds, spans, byVariable)
}

// TestHostileKilledInACgroup is the same in a cgroup of 300 MB, where the kernel kills a
// process that takes more. It takes root and cgroups of version 1 or 2.
func TestHostileKilledInACgroup(t *testing.T) {
	testkit.Hostile(t)
	killWithLittleMemory(t, 20, 400_000, newCgroup(t))
}

// confinement is how a backend gets its memory: variables, and what is done with the
// running process before it has used any.
type confinement struct {
	env   []string
	wrap  []string // a command that runs its arguments
	limit string   // what the backend says about its memory
}

var byVariable = confinement{env: []string{fmt.Sprint("GOMEMLIMIT=", littleMemory)}, limit: "(GOMEMLIMIT)"}

func killWithLittleMemory(t *testing.T, rounds, spans int, in confinement) {
	const batch = 500
	dir := t.TempDir()
	var acked []uint64 // numbers of traces, each with batch spans, in order
	next := uint64(1)
	for round := range rounds + 1 {
		b := startConfined(t, in, dir)
		held, bytes := storeMetric(t, b, "etude_store_spans "), storeMetric(t, b, "etude_store_head_bytes ")
		if full := 0.7 * float64(memory.BudgetOf(memory.Limit{Bytes: littleMemory}).Head); int(held) < len(acked)*batch && bytes < full {
			t.Errorf("round %d: %.0f spans are held in %.0f bytes, %d were acknowledged", round, held, bytes, len(acked)*batch)
		}
		checkNewest(t, b, acked, int(held)/batch)
		if round == rounds {
			break
		}
		acked = append(acked, fill(t, b, &next, spans/batch, batch)...)
		if peak := peakMemory(t, b); peak > littleMemory {
			t.Errorf("round %d: the backend took %d MB", round, peak/1e6)
		}
		if err := b.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-b.done
	}
}

// checkNewest asks for the newest acknowledged traces, as many as are held.
func checkNewest(t *testing.T, b *backendProcess, acked []uint64, held int) {
	t.Helper()
	newest := acked[max(0, len(acked)-held):]
	if len(acked) > 0 && len(newest) == 0 {
		t.Fatal("nothing is held")
	}
	missing := 0
	for i := 0; i < len(newest); i += 1 + len(newest)/40 { // some of them
		if n := spansOf(traceByID(t, b.api, fmt.Sprintf("%x", littleTrace(newest[i])))); n != 500 {
			missing++
		}
	}
	// Several connections: the order in the log is not quite that of acknowledgement.
	if missing > 1 {
		t.Errorf("%d of the newest traces are missing", missing)
	}
}

func littleTrace(number uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, 3), number)
}

// fill sends traces from four clients and returns the numbers of those acknowledged.
func fill(t *testing.T, b *backendProcess, next *uint64, traces, spans int) (acked []uint64) {
	t.Helper()
	var mu sync.Mutex
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				mu.Lock()
				if traces == 0 {
					mu.Unlock()
					return
				}
				traces--
				number := *next
				*next++
				mu.Unlock()
				if post(b.otlpHTTP, traceOf(littleTrace(number), spans)) {
					mu.Lock()
					acked = append(acked, number)
					mu.Unlock()
				}
			}
		})
	}
	clients.Wait()
	if len(acked) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	return acked
}

func startConfined(t *testing.T, in confinement, dir string) *backendProcess {
	t.Helper()
	offset := freeOffset(t)
	args := []string{"backend", "--data-dir", dir, "--port-offset", fmt.Sprint(offset)}
	b := &backendProcess{offset: offset}
	b.process = startWrapped(t, in.wrap, in.env, args...)
	b.api = fmt.Sprintf("http://127.0.0.1:%d", listen.PortAPI+offset)
	b.otlpHTTP = fmt.Sprintf("http://127.0.0.1:%d", listen.PortOTLPHTTP+offset)
	b.says("backend is ready")
	b.says(in.limit)
	return b
}

// storeMetric returns the value of the first sample whose line begins so.
func storeMetric(t *testing.T, b *backendProcess, begins string) float64 {
	t.Helper()
	_, body := get(t, b.api+"/metrics")
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, begins); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("/metrics has no %s", begins)
	return 0
}

// peakMemory is the most private memory that a process has had, in bytes; 0 where
// the system does not tell.
func peakMemory(t *testing.T, b *backendProcess) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	kb := func(name string) (n int64) {
		_, after, _ := strings.Cut(string(status), name+":")
		_, _ = fmt.Sscan(after, &n)
		return n * 1024
	}
	return kb("VmHWM") - kb("RssFile") // the binary's pages are shared
}

// newCgroup makes a cgroup of 300 MB below that of this process.
func newCgroup(t *testing.T) confinement {
	t.Helper()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("takes Linux and root")
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(own)) {
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		root, file := "/sys/fs/cgroup", "memory.max"
		if part[1] == "memory" {
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		} else if part[0] != "0" {
			continue
		}
		group := filepath.Join(root, part[2], fmt.Sprint("etude-test-", os.Getpid()))
		if os.Mkdir(group, 0o755) != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(group) })
		if os.WriteFile(filepath.Join(group, file), []byte(fmt.Sprint(littleMemory)), 0o644) == nil {
			enter := fmt.Sprintf("echo $$ > %s/cgroup.procs && exec \"$@\"", group)
			return confinement{wrap: []string{"/bin/sh", "-c", enter, "sh"}, limit: "(limit of the cgroup)"}
		}
	}
	t.Skip("no cgroup can be made here")
	return confinement{}
}
