// Package memory finds out how much memory a process may use, and divides it: among the
// processes of `up`, and among the bounds of a backend.
package memory

import (
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/alecthomas/kong"

	"etude/program/flags"
)

// Each process finds out at its start how much memory it may use: the flag
// --memory, else GOMEMLIMIT, else the limit of its cgroup (v1 or v2), else half
// of the machine, whose other half is for other programs. Two things follow.
//
// First, Go's collector gets a limit, softLimit of that memory. Under it the heap
// may grow freely; near it the collector runs more often. A user's GOMEMLIMIT is
// such a limit already and stays as it is.
//
// Second, the bounds of a backend whose flags say auto are shares of that memory
// ([BudgetOf]). The collector can only free garbage, so the bounds are what keeps
// the process alive; their sum, with the fixed part, stays below the soft limit.
//
// The processes of `up` share one memory. `up` hands each its part: --memory to
// the backend, GOMEMLIMIT to the others.

// Limit is how much a process may use, and where that figure is from.
type Limit struct {
	Bytes  int64
	Source string // where the figure is from
}

func (m Limit) String() string {
	b := flags.Bytes(m.Bytes)
	if m.Bytes > 10<<20 {
		b = b / mebibyte * mebibyte
	}
	return b.String() + " (" + m.Source + ")"
}

const (
	mebibyte = 1 << 20
	gibibyte = 1 << 30

	// softLimit is Go's share in percent; the remainder is for memory that Go does not count:
	// the program's own pages, and the kernel's for its sockets and files.
	softLimit = 90
)

// limitAtStart is what GOMEMLIMIT says, before [Limit.LimitOwn] changes it.
var limitAtStart = debug.SetMemoryLimit(-1)

// For returns the memory that --memory names or, without it, the system.
func For(flag flags.AutoBytes) Limit {
	if flag > 0 {
		return Limit{int64(flag), "--memory"}
	}
	if limitAtStart < math.MaxInt64 {
		return Limit{limitAtStart, "GOMEMLIMIT"}
	}
	machine, err := memlimit.FromSystem()
	if err != nil || machine == 0 {
		machine = 4 * gibibyte
	}
	if group, err := memlimit.FromCgroup(); err == nil && group > 0 && group < machine {
		return Limit{int64(group), "limit of the cgroup"}
	}
	return Limit{int64(machine / 2), "half of the machine's"}
}

// LimitOwn gives Go's collector the limit that follows, unless GOMEMLIMIT is it.
func (m Limit) LimitOwn() {
	if m.Source != "GOMEMLIMIT" {
		debug.SetMemoryLimit(m.Bytes / 100 * softLimit)
	}
}

// Shares divides the memory of `up`: one part for each small process (edge, four
// services, `up` itself), and the remainder for the backend, at least half.
func (m Limit) Shares() (backend, part int64) {
	part = min(max(m.Bytes/24, 24*mebibyte), 256*mebibyte, m.Bytes/2/smallParts)
	return m.Bytes - smallParts*part, part
}

const smallParts = 6

// budget is how a backend divides its memory.
type budget struct {
	Head     int64 // --head-max-bytes
	InFlight int64 // --max-in-flight
	Queue    int64 // --max-queue
	Query    int64 // --max-query-memory, of one query
	Facts    int64 // --query-facts-memory
	Cache    int64 // --blocks.cache
	Queries  int   // --max-queries
}

const (
	// fixedMemory is what a backend takes besides what the bounds count: the
	// program, Go's runtime, idle connections, and the embedded Prometheus with a
	// few thousand series. Measured: 75 MiB after a million spans have come.
	fixedMemory = 80 * mebibyte
	// leastMemory is the least that a backend works well with; see docs/memory.md.
	leastMemory = 192 * mebibyte
)

// BudgetOf divides what is left of the soft limit beside the fixed part: 30 % for
// the head, 10 % for columns of blocks, 15 % for requests in flight, 5 % for the queue, 2 % for facts
// of parts, and a twelfth for a query, so that three of the largest fit while everything else is at its bounds. The
// remaining fifth is for what is counted nowhere: tables being sealed, garbage,
// answers on their way. Above some GiB the bounds stay at what was always enough.
func BudgetOf(m Limit) budget {
	free := max(m.Bytes/100*softLimit-fixedMemory, 64*mebibyte)
	between := func(least, share, most int64) int64 { return min(max(least, share), most) / mebibyte * mebibyte }
	return budget{
		Head:     between(16*mebibyte, free*30/100, gibibyte),
		InFlight: between(24*mebibyte, free*15/100, 256*mebibyte),
		Queue:    between(4*mebibyte, free*5/100, 64*mebibyte),
		Query:    between(8*mebibyte, free/12, 512*mebibyte),
		Facts:    between(4*mebibyte, free*2/100, 64*mebibyte),
		Cache:    between(8*mebibyte, free/10, 512*mebibyte),
		Queries:  int(between(2*mebibyte, free/64, 16*mebibyte) / mebibyte),
	}
}

// WarnOfLittle says in one line when the memory is less than a backend needs.
func (m Limit) WarnOfLittle(log *slog.Logger) {
	if m.Bytes < leastMemory {
		log.Warn("this is little memory for a backend: it may be killed, and queries may fail",
			"memory", m.String(), "needed", (&Limit{leastMemory, ""}).megabytes())
	}
}

func (m *Limit) megabytes() string { return fmt.Sprintf("%d MiB", m.Bytes/mebibyte) }

// HelpVars are the derived bounds as --help shows them: those of a backend alone.
func HelpVars() kong.Vars {
	m := For(flags.Auto)
	b := BudgetOf(m)
	size := func(n int64) string { f := flags.Bytes(n); return f.String() }
	return kong.Vars{"memory": m.String(), "head": size(b.Head), "in_flight": size(b.InFlight), "queue": size(b.Queue),
		"query": size(b.Query), "facts": size(b.Facts), "cache": size(b.Cache), "queries": fmt.Sprint(b.Queries)}
}
