// Package generator computes metrics from spans as they arrive: span metrics
// (rate, errors and duration by service and span name) and the service graph
// (the same for each pair of services that call each other), with the metric
// names, labels and buckets of Tempo's metrics-generator, so that Grafana's
// service graph and its dashboards work on them unchanged.
//
// # Pulled, not pushed
//
// The generator reads the rows that have come to the store's Tables since it
// looked last, once a second and before each collection. It keeps a cursor per
// Table: the number of rows read. Views need no lock, so ingest is not slowed
// down, however long a collection takes. What the Tables held when the generator
// was made is not counted; what the store has dropped before it was read is
// counted as missed. A span that a client sends again counts once, as long as it
// comes to the same Table. When the process is killed, what it has counted since
// the last collection is lost; when it ends, it collects once more. The rejected
// alternative, a call for each stored request, would put the work of every span in
// front of its acknowledgement.
//
// # Fast path
//
// What a span counts for follows from its scope (and with it the resource), name,
// kind, status and a few attributes: those that are dimensions, name a peer or
// are asked for by a filter. All of these are numbers within a Table. A cursor
// maps them to an entry, found by one look-up of two words, which holds the
// series to add to. Label sets are put together only when an entry is new.
//
// # Series begin with a zero
//
// rate() sees only increases, so a series that began with its first value would
// hide it. Each counter and histogram first gets a zero, one millisecond after
// the collection before. A generator begun anew starts all series with a zero
// later than the last sample of the process before: a reset like any other, and
// rate() and increase() over a restart are right. Tempo does so for counters,
// _bucket and _count; here _sum has its zero as well, since an average, rate of
// _sum by rate of _count, is wrong without it. A series that has had no span for
// some time is removed, and ends with a staleness marker.
//
// # Edges
//
// The two sides of a call come in any order, from two services: one waits for the
// other, ten seconds at most and ten thousand at a time. Tempo lets a server span
// that has no parent wait as well. Nobody can come for it, so here it counts at
// once, as a call by "user"; else a few thousand requests a second would fill the
// places of those that do wait.
//
// # Cardinality
//
// The number of series is bounded. Label sets beyond the bound share one series
// per metric, labelled metric_overflow="true": totals stay right, and Stats says
// how many updates went there.
package generator
