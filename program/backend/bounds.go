package backend

import (
	"time"

	"etude/program/flags"
	"etude/program/memory"
)

// derive computes the limits whose flags are auto.
func (l *Limits) derive(m memory.Limit) {
	b := memory.BudgetOf(m)
	for _, x := range []struct {
		flag *flags.AutoBytes
		size int64
	}{{&l.HeadMaxBytes, b.Head}, {&l.MaxInFlight, b.InFlight}, {&l.MaxQueue, b.Queue}, {&l.MaxQueryMemory, b.Query}, {&l.QueryFactsMemory, b.Facts}, {&l.Cache, b.Cache}} {
		if *x.flag == flags.Auto {
			*x.flag = flags.AutoBytes(x.size)
		}
	}
	if l.MaxQueriesMemory == flags.Auto {
		l.MaxQueriesMemory = 2 * l.MaxQueryMemory
	}
	if l.MaxQueries == flags.Auto {
		l.MaxQueries = flags.AutoCount(b.Queries)
	}
	l.deriveStorage()
}

// Defaults of --retention and --max-disk, with blocks and without.
const (
	retentionWithBlocks, retentionWithout = 7 * 24 * time.Hour, time.Hour
	diskWithBlocks, diskWithout           = 4 << 30, 2 << 30
)

// deriveStorage computes the limits whose defaults depend on --blocks.
func (l *Limits) deriveStorage() {
	age, disk := retentionWithout, int64(diskWithout)
	if l.Blocks {
		age, disk = retentionWithBlocks, diskWithBlocks
	}
	if l.Retention == flags.Auto {
		l.Retention = flags.AutoDuration(age)
	}
	if l.MaxDisk == flags.Auto {
		l.MaxDisk = flags.AutoBytes(disk)
	}
}
