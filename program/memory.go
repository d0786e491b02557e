package program

import (
	"fmt"
	"log/slog"
	"math"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/alecthomas/kong"
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
// ([budgetOf]). The collector can only free garbage, so the bounds are what keeps
// the process alive; their sum, with the fixed part, stays below the soft limit.
//
// The processes of `up` share one memory. `up` hands each its part: --memory to
// the backend, GOMEMLIMIT to the others.

// memory is how much a process may use, and where that figure is from.
type memory struct {
	bytes  int64
	source string
}

func (m memory) String() string {
	b := bytesFlag(m.bytes)
	if m.bytes > 10<<20 {
		b = b / mebibyte * mebibyte
	}
	return b.String() + " (" + m.source + ")"
}

const (
	mebibyte = 1 << 20
	gibibyte = 1 << 30

	// softLimit is Go's share in percent; the remainder is for memory that Go does not count:
	// the program's own pages, and the kernel's for its sockets and files.
	softLimit = 90
)

// limitAtStart is what GOMEMLIMIT says, before limitOwn changes it.
var limitAtStart = debug.SetMemoryLimit(-1)

// memoryFor returns the memory that --memory names or, without it, the system.
func memoryFor(flag autoBytes) memory {
	if flag > 0 {
		return memory{int64(flag), "--memory"}
	}
	if limitAtStart < math.MaxInt64 {
		return memory{limitAtStart, "GOMEMLIMIT"}
	}
	machine, err := memlimit.FromSystem()
	if err != nil || machine == 0 {
		machine = 4 * gibibyte
	}
	if group, err := memlimit.FromCgroup(); err == nil && group > 0 && group < machine {
		return memory{int64(group), "limit of the cgroup"}
	}
	return memory{int64(machine / 2), "half of the machine's"}
}

// limitOwn gives Go's collector the limit that follows, unless GOMEMLIMIT is it.
func (m memory) limitOwn() {
	if m.source != "GOMEMLIMIT" {
		debug.SetMemoryLimit(m.bytes / 100 * softLimit)
	}
}

// shares divides the memory of `up`: one part for each small process (edge, four
// services, `up` itself), and the remainder for the backend, at least half.
func (m memory) shares() (backend, part int64) {
	part = min(max(m.bytes/24, 24*mebibyte), 256*mebibyte, m.bytes/2/smallParts)
	return m.bytes - smallParts*part, part
}

const smallParts = 6

// budget is how a backend divides its memory.
type budget struct {
	head     int64 // --head-max-bytes
	inFlight int64 // --max-in-flight
	queue    int64 // --max-queue
	query    int64 // --max-query-memory, of one query
	facts    int64 // --query-facts-memory
	cache    int64 // --blocks.cache
	queries  int   // --max-queries
}

const (
	// fixedMemory is what a backend takes besides what the bounds count: the
	// program, Go's runtime, idle connections, and the embedded Prometheus with a
	// few thousand series. Measured: 75 MiB after a million spans have come.
	fixedMemory = 80 * mebibyte
	// leastMemory is the least that a backend works well with; see docs/memory.md.
	leastMemory = 192 * mebibyte
)

// budgetOf divides what is left of the soft limit beside the fixed part: 30 % for
// the head, 10 % for columns of blocks, 15 % for requests in flight, 5 % for the queue, 2 % for facts
// of parts, and a twelfth for a query, so that three of the largest fit while everything else is at its bounds. The
// remaining fifth is for what is counted nowhere: tables being sealed, garbage,
// answers on their way. Above some GiB the bounds stay at what was always enough.
func budgetOf(m memory) budget {
	free := max(m.bytes/100*softLimit-fixedMemory, 64*mebibyte)
	between := func(least, share, most int64) int64 { return min(max(least, share), most) / mebibyte * mebibyte }
	return budget{
		head:     between(16*mebibyte, free*30/100, gibibyte),
		inFlight: between(24*mebibyte, free*15/100, 256*mebibyte),
		queue:    between(4*mebibyte, free*5/100, 64*mebibyte),
		query:    between(8*mebibyte, free/12, 512*mebibyte),
		facts:    between(4*mebibyte, free*2/100, 64*mebibyte),
		cache:    between(8*mebibyte, free/10, 512*mebibyte),
		queries:  int(between(2*mebibyte, free/64, 16*mebibyte) / mebibyte),
	}
}

// derive fills in the bounds whose flags say auto.
func (l *backendLimits) derive(m memory) {
	b := budgetOf(m)
	for _, x := range []struct {
		flag *autoBytes
		size int64
	}{{&l.HeadMaxBytes, b.head}, {&l.MaxInFlight, b.inFlight}, {&l.MaxQueue, b.queue}, {&l.MaxQueryMemory, b.query}, {&l.QueryFactsMemory, b.facts}, {&l.Cache, b.cache}} {
		if *x.flag == auto {
			*x.flag = autoBytes(x.size)
		}
	}
	if l.MaxQueriesMemory == auto {
		l.MaxQueriesMemory = 2 * l.MaxQueryMemory
	}
	if l.MaxQueries == auto {
		l.MaxQueries = autoCount(b.queries)
	}
	l.deriveStorage()
}

// warnOfLittle says in one line when the memory is less than a backend needs.
func (m memory) warnOfLittle(log *slog.Logger) {
	if m.bytes < leastMemory {
		log.Warn("this is little memory for a backend: it may be killed, and queries may fail",
			"memory", m.String(), "needed", (&memory{leastMemory, ""}).megabytes())
	}
}

func (m *memory) megabytes() string { return fmt.Sprintf("%d MiB", m.bytes/mebibyte) }

// helpVars are the derived bounds as --help shows them: those of a backend alone.
func helpVars() kong.Vars {
	m := memoryFor(auto)
	b := budgetOf(m)
	size := func(n int64) string { f := bytesFlag(n); return f.String() }
	return kong.Vars{"memory": m.String(), "head": size(b.head), "in_flight": size(b.inFlight), "queue": size(b.queue),
		"query": size(b.query), "facts": size(b.facts), "cache": size(b.cache), "queries": fmt.Sprint(b.queries)}
}
