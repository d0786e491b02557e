// Package generator computes metrics from spans as they arrive: span metrics
// (rate, errors and duration by service and span name) and the service graph
// (the same for each pair of services that call each other). Names, labels and
// buckets are those of Tempo's metrics-generator, so Grafana's service graph and
// its dashboards work on them unchanged.
//
// # Pulled, not pushed
//
// The generator reads the new rows of the store's Tables once a second and before
// each collection. It keeps a cursor per Table: the number of rows read. Views need
// no lock, so a long collection does not slow ingest down. The generator does not
// count the rows that the Tables held when it was made. It counts rows that the
// store dropped unread as missed. A span that a client sends again counts once, as
// long as it comes to the same Table. A killed process loses the counts since its
// last collection; a process that ends collects once more. The rejected
// alternative, a call for each stored request, would put the work of every span
// before its acknowledgement.
//
// # Fast path
//
// The series of a span follow from its scope (and with it the resource), name,
// kind, status and the attributes that are dimensions, name a peer or occur in a
// filter. All of these are numbers within a Table. A cursor maps them to an entry,
// found by one look-up of two words. The entry holds the series to add to. Label
// sets are made only for a new entry.
//
// # Series begin with a zero
//
// rate() sees only increases, so it would miss the first value of a series. Each
// counter and histogram therefore begins with a zero, one millisecond after the
// previous collection. A new generator starts all series with a zero later than
// the last sample of the previous process. That is an ordinary counter reset, so
// rate() and increase() over a restart are right. Tempo does so for counters,
// _bucket and _count. Here _sum begins with a zero too: without it the average,
// rate of _sum by rate of _count, is wrong. A series without a span for some time
// is removed, and ends with a staleness marker.
//
// # Edges
//
// The two sides of a call come in any order, from two services. One side waits for
// the other at most ten seconds. Tempo lets a server span without a parent wait as
// long. Here it waits for two seconds, in places of its own, and then counts as a
// call by "user": a few thousand requests a second would fill the places of the
// other edges. Its caller can only be the other half of a Zipkin span, whose halves
// share an id; the halves of such a span pair by that id.
//
// # Cardinality
//
// limits.go bounds the series of each service and of all, and the values of each
// label. Label sets beyond a bound share a series: metric_overflow="true", or the
// value __cardinality_overflow__ for the label. Sums stay right. Stats, the log and
// these series say that a limit was reached.
package generator
