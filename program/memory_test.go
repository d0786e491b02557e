package program

import (
	"fmt"
	"strings"
	"testing"
)

// The bounds of a backend fit into the memory that they are derived from, and
// none is below what a request or a query needs.
func TestBudgetFitsTheMemory(t *testing.T) {
	t.Parallel()
	for m := int64(leastMemory); m < 64*gibibyte; m = m * 5 / 4 {
		b := budgetOf(memory{bytes: m})
		sum := fixedMemory + b.head + b.inFlight + b.queue + b.cache + b.facts + 3*b.query
		if sum > m/100*softLimit {
			t.Errorf("%d MiB: the bounds add up to %d MiB", m/mebibyte, sum/mebibyte)
		}
		if b.inFlight < 20*mebibyte || b.head < 16*mebibyte || b.queries < 2 || b.queries > 16 {
			t.Errorf("%d MiB: %+v", m/mebibyte, b)
		}
	}
	large := budgetOf(memory{bytes: 16 * gibibyte})
	if want := (budget{gibibyte, 256 * mebibyte, 64 * mebibyte, 512 * mebibyte, 64 * mebibyte, 512 * mebibyte, 16}); large != want {
		t.Errorf("a large machine: %+v, want what was always enough, %+v", large, want)
	}
}

// The limit that the process gives itself is not mistaken for one that it was given.
func TestMemoryIsFoundOnce(t *testing.T) {
	before := memoryFor(auto)
	before.limitOwn()
	if after := memoryFor(auto); after != before {
		t.Errorf("%s, and then %s", before, after)
	}
}

func TestMemoryIsShared(t *testing.T) {
	t.Parallel()
	for m := int64(128 * mebibyte); m < 64*gibibyte; m *= 2 {
		backend, part := memory{bytes: m}.shares()
		if backend+smallParts*part != m || backend < m/2 || part < 10*mebibyte {
			t.Errorf("%d MiB: %d for the backend, %d for the others", m/mebibyte, backend/mebibyte, part/mebibyte)
		}
	}
}

// A backend derives its bounds from GOMEMLIMIT, flags override them one by one,
// and the first lines and --help say both.
func TestBoundsFollowTheMemory(t *testing.T) {
	t.Parallel()
	b := startBackendIn(t, []string{"GOMEMLIMIT=300MiB"}, t.TempDir(), "--max-queue", "7MiB")
	d := budgetOf(memory{bytes: 300 * mebibyte})
	b.says(fmt.Sprintf("lives in memory of 300MiB (GOMEMLIMIT): --head-max-bytes %dMiB --max-in-flight %dMiB --max-queue 7MiB --max-query-memory %dMiB --max-queries %d",
		d.head/mebibyte, d.inFlight/mebibyte, d.query/mebibyte, d.queries))
	if strings.Contains(b.out.String(), "little memory") {
		t.Error("300 MiB count as too little")
	}
	b = startBackend(t, t.TempDir(), "--memory", "100MiB", "--metrics.off")
	b.says("this is little memory for a backend")
	b.says("lives in memory of 100MiB (--memory)")

	h := start(t, []string{"GOMEMLIMIT=300MiB"}, "backend", "--help")
	if status := h.ended(); status != 0 {
		t.Fatalf("help: exit status %d", status)
	}
	help := strings.Join(strings.Fields(h.out.String()), " ")
	for _, want := range []string{"here 300MiB (GOMEMLIMIT)", fmt.Sprintf("(here %dMiB)", d.head/mebibyte)} {
		if !strings.Contains(help, want) {
			t.Errorf("help does not say %q:\n%s", want, h.out)
		}
	}
}

// Each process of the demo gets a share, which together are what up may use.
func TestDemoSharesItsMemory(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "--memory", "512MiB")
	backend, _ := memory{bytes: 512 * mebibyte}.shares()
	d.says(fmt.Sprintf("lives in memory of %dMiB (--memory)", backend/mebibyte))
}
