package memory

import (
	"runtime/debug"
	"testing"

	"etude/program/flags"
)

// The bounds of a backend fit into the memory that they are derived from, and
// none is below what a request or a query needs.
func TestBudgetFitsTheMemory(t *testing.T) {
	t.Parallel()
	for m := int64(leastMemory); m < 64*gibibyte; m = m * 5 / 4 {
		b := BudgetOf(Limit{Bytes: m})
		sum := fixedMemory + b.Head + b.InFlight + b.Queue + b.Cache + b.Facts + 3*b.Query
		if sum > m/100*softLimit {
			t.Errorf("%d MiB: the bounds add up to %d MiB", m/mebibyte, sum/mebibyte)
		}
		if b.InFlight < 20*mebibyte || b.Head < 16*mebibyte || b.Queries < 2 || b.Queries > 16 {
			t.Errorf("%d MiB: %+v", m/mebibyte, b)
		}
	}
	large := BudgetOf(Limit{Bytes: 16 * gibibyte})
	if want := (budget{gibibyte, 256 * mebibyte, 64 * mebibyte, 512 * mebibyte, 64 * mebibyte, 512 * mebibyte, 16}); large != want {
		t.Errorf("a large machine: %+v, want what was always enough, %+v", large, want)
	}
}

// The limit that the process gives itself is not mistaken for one that it was given.
func TestMemoryIsFoundOnce(t *testing.T) {
	before := For(flags.Auto)
	before.LimitOwn()
	if after := For(flags.Auto); after != before {
		t.Errorf("%s, and then %s", before, after)
	}
}

// With little memory the collector leaves less garbage, unless the user says how much.
func TestGarbageWithLittleMemory(t *testing.T) {
	before, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	defer func() { debug.SetGCPercent(before); debug.SetMemoryLimit(limit) }()
	for _, test := range []struct {
		memory int64
		gogc   string
		want   int
	}{{gibibyte, "", scarcePercent}, {8 * gibibyte, "", 100}, {gibibyte, "100", 100}} {
		t.Setenv("GOGC", test.gogc)
		debug.SetGCPercent(100)
		Limit{Bytes: test.memory}.LimitOwn()
		if got := debug.SetGCPercent(100); got != test.want {
			t.Errorf("%d MiB, GOGC=%q: %d, want %d", test.memory/mebibyte, test.gogc, got, test.want)
		}
	}
}

func TestMemoryIsShared(t *testing.T) {
	t.Parallel()
	for m := int64(128 * mebibyte); m < 64*gibibyte; m *= 2 {
		backend, part := Limit{Bytes: m}.Shares()
		if backend+smallParts*part != m || backend < m/2 || part < 10*mebibyte {
			t.Errorf("%d MiB: %d for the backend, %d for the others", m/mebibyte, backend/mebibyte, part/mebibyte)
		}
	}
}
