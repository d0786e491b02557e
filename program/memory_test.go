package program

import (
	"fmt"
	"strings"
	"testing"

	"etude/program/memory"
)

// A backend derives its bounds from GOMEMLIMIT, flags override them one by one,
// and the first lines and --help say both.
func TestBoundsFollowTheMemory(t *testing.T) {
	t.Parallel()
	b := startBackendIn(t, []string{"GOMEMLIMIT=300MiB"}, t.TempDir(), "--max-queue", "7MiB")
	d := memory.BudgetOf(memory.Limit{Bytes: 300 << 20})
	b.says(fmt.Sprintf("memory   300MiB (GOMEMLIMIT): --head-max-bytes %dMiB --max-in-flight %dMiB --max-queue 7MiB --max-query-memory %dMiB --max-queries %d",
		d.Head>>20, d.InFlight>>20, d.Query>>20, d.Queries))
	if strings.Contains(b.out.String(), "little memory") {
		t.Error("300 MiB count as too little")
	}
	b = startBackend(t, t.TempDir(), "--memory", "100MiB", "--metrics.off")
	b.says("little memory for a backend")
	b.says("memory   100MiB (--memory)")

	h := start(t, []string{"GOMEMLIMIT=300MiB"}, "backend", "--help")
	if status := h.ended(); status != 0 {
		t.Fatalf("help: exit status %d", status)
	}
	help := strings.Join(strings.Fields(h.out.String()), " ")
	for _, want := range []string{"here 300MiB (GOMEMLIMIT)", fmt.Sprintf("(here %dMiB)", d.Head>>20)} {
		if !strings.Contains(help, want) {
			t.Errorf("help does not say %q:\n%s", want, h.out)
		}
	}
}

// Each process of the demo gets a share, which together are what up may use.
func TestDemoSharesItsMemory(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "--memory", "512MiB")
	backend, _ := memory.Limit{Bytes: 512 << 20}.Shares()
	d.says(fmt.Sprintf("memory   %dMiB (--memory)", backend>>20))
}
