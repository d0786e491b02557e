// Package memory determines how much memory a process may use, and divides it: among the processes of `up`, and
// among the limits of a backend.
package memory

import (
	"fmt"
	"log/slog"
	"math"
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/alecthomas/kong"

	"etude/program/flags"
)

// At its start each process determines its memory: the flag --memory, else GOMEMLIMIT, else the limit of its
// cgroup (v1 or v2), else half of the machine's memory. It then does two things.
//
// First, it sets the limit of Go's collector to softLimit of that memory. Below the limit the heap grows
// freely; near it the collector runs more often. A user's GOMEMLIMIT already is such a limit, and stays
// unchanged.
//
// Second, a backend computes the limits whose flags are auto as shares of that memory ([BudgetOf]). These
// limits keep the process alive, because the collector can free only garbage. Their sum with the fixed part
// stays below the soft limit.
//
// The processes of `up` share one memory. `up` gives each its share: --memory to the backend, GOMEMLIMIT to the
// others.

// Limit is the memory a process may use, and the source of this number.
type Limit struct {
	Bytes  int64
	Source string // --memory, GOMEMLIMIT, the cgroup or the machine
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

	// softLimit is the collector's limit in percent. The remainder is for memory that Go does not count: the
	// program's own pages, and the kernel's for its sockets and files.
	softLimit = 90

	scarceMemory  = 4 * gibibyte
	scarcePercent = 50 // GOGC with less memory
)

// limitAtStart is the value of GOMEMLIMIT, before [Limit.LimitOwn] changes it.
var limitAtStart = debug.SetMemoryLimit(-1)

// For returns the memory given by --memory or, without the flag, by the environment.
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

// LimitOwn sets the limit of Go's collector, unless GOMEMLIMIT has set it. With less than scarceMemory the collector
// also leaves only half as much garbage, unless GOGC says how much: most of a backend's memory has no pointers, so
// this costs hardly any CPU.
func (m Limit) LimitOwn() {
	if m.Source != "GOMEMLIMIT" {
		debug.SetMemoryLimit(m.Bytes / 100 * softLimit)
	}
	if m.Bytes < scarceMemory && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(scarcePercent)
	}
}

// Shares divides the memory of `up`: equal parts for the small processes (edge, four services, `up` itself),
// and the remainder, at least half, for the backend.
func (m Limit) Shares() (backend, part int64) {
	part = min(max(m.Bytes/24, 24*mebibyte), 256*mebibyte, m.Bytes/2/smallParts)
	return m.Bytes - smallParts*part, part
}

const smallParts = 6

// budget divides a backend's memory.
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
	// fixedMemory is the memory of a backend that no limit counts: the program, Go's runtime, idle connections,
	// and the embedded Prometheus with a few thousand series. Measured: 75 MiB after a million spans.
	fixedMemory = 80 * mebibyte
	// leastMemory is the least memory for normal operation; see docs/memory.md.
	leastMemory = 192 * mebibyte
)

// BudgetOf divides the soft limit without the fixed part: 30 % for the head, 10 % for columns of blocks, 15 %
// for requests in flight, 5 % for the queue, 2 % for facts about parts, and a twelfth for one query, so that
// three queries of that size fit while everything else is full. The remaining fifth is for memory that no limit
// counts: tables being sealed, garbage, answers being sent. Each limit has a maximum, which is enough on large
// machines.
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

// WarnOfLittle logs a warning when a backend has less than leastMemory.
func (m Limit) WarnOfLittle(log *slog.Logger) {
	if m.Bytes < leastMemory {
		log.Warn("little memory for a backend: the system may kill it, and queries may fail",
			"memory", m.String(), "needed", (&Limit{leastMemory, ""}).megabytes())
	}
}

func (m *Limit) megabytes() string { return fmt.Sprintf("%d MiB", m.Bytes/mebibyte) }

// HelpVars returns the derived limits that --help shows: those of a backend run alone.
func HelpVars() kong.Vars {
	m := For(flags.Auto)
	b := BudgetOf(m)
	size := func(n int64) string { f := flags.Bytes(n); return f.String() }
	return kong.Vars{"memory": m.String(), "head": size(b.Head), "in_flight": size(b.InFlight), "queue": size(b.Queue),
		"query": size(b.Query), "facts": size(b.Facts), "cache": size(b.Cache), "queries": fmt.Sprint(b.Queries)}
}
