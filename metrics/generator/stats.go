package generator

import "sync/atomic"

// drop is the reason why a processor left out a span.
type drop uint8

const (
	counted drop = iota
	outsideSlack
	sentAgain
	invalidUTF8
	filteredSpanMetrics
	filteredServiceGraph
	edgesFull
	numDrops
)

// dropNames are the reasons as label values; Tempo's where it has one.
var dropNames = [numDrops]string{"", "outside_metrics_ingestion_slack", "sent_again", "invalid_utf8", "span_metrics_filter", "service_graph_filter", "service_graph_store_full"}

// Stats are the current numbers of a generator.
type Stats struct {
	Spans   int64            // read
	Dropped map[string]int64 // left out by a processor, by reason
	Missed  int64            // dropped by the source before they were read
	Pending int64            // read, but not yet in a stored collection

	ActiveSeries    int64
	RemovedSeries   int64 // had no span for StaleAfter
	OverflowUpdates int64 // updates of the overflow series, because there were too many series
	OverflowLabels  int64 // updates of series with a replaced label value, because the label had too many

	OpenEdges      int64 // edges that wait for their other side
	CompletedEdges int64 // both sides arrived, or a call to a database
	VirtualEdges   int64 // one side only; the other is named by an attribute, or user
	ExpiredEdges   int64 // one side only, dropped

	Collections       int64
	FailedCollections int64
	Samples           int64 // accepted by the storage
	RefusedSamples    int64 // out of order or out of bounds, according to the storage
	RefusedExemplars  int64
}

// counters are the counters of Stats. Only the goroutine that reads writes them.
type counters struct {
	spans, missed, pending                  atomic.Int64
	dropped                                 [numDrops]atomic.Int64
	active, removed                         atomic.Int64
	overflowUpdates, labelUpdates           atomic.Int64
	openEdges, completed, virtual, expired  atomic.Int64
	collections, failed                     atomic.Int64
	samples, refusedSamples, refusedExempls atomic.Int64
}

// Stats returns the current numbers. It does not wait for a lock.
func (g *Generator) Stats() Stats {
	c := &g.count
	s := Stats{
		Spans: c.spans.Load(), Missed: c.missed.Load(), Pending: c.pending.Load(),
		ActiveSeries: c.active.Load(), RemovedSeries: c.removed.Load(),
		OverflowUpdates: c.overflowUpdates.Load(), OverflowLabels: c.labelUpdates.Load(),
		OpenEdges: c.openEdges.Load(), CompletedEdges: c.completed.Load(), VirtualEdges: c.virtual.Load(), ExpiredEdges: c.expired.Load(),
		Collections: c.collections.Load(), FailedCollections: c.failed.Load(),
		Samples: c.samples.Load(), RefusedSamples: c.refusedSamples.Load(), RefusedExemplars: c.refusedExempls.Load(),
	}
	s.Dropped = map[string]int64{}
	for i, name := range dropNames {
		if drop(i) != counted {
			s.Dropped[name] = c.dropped[i].Load()
		}
	}
	return s
}
