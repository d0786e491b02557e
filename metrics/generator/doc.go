// Package generator computes metrics from spans as they arrive: span metrics
// (rate, errors and duration by service and span name) and the service graph
// (the same for each pair of services that call each other). Names, labels and
// buckets are those of Tempo's metrics-generator, so Grafana's service graph and
// its dashboards work on them unchanged.
//
// # Pulled, not pushed
//
// The generator reads the new rows of the store's Tables once a second and before each collection. It keeps a
// cursor per Table: the number of rows read. Views need no lock, so a long collection does not slow ingest
// down. The generator does not count the rows that the Tables had when it was made. It counts rows that the
// store dropped unread as missed. A span that a client sends again counts once (retried.go). A
// killed process loses the counts since its last collection; a process that ends normally collects once more.
// Rejected: a call for each stored request, which would delay every acknowledgement by the work on its spans.
//
// # Fast path
//
// The series of a span depend on its scope (which determines the resource), name, kind, status, and the
// attributes that are dimensions, name a peer or occur in a filter. All of these are numbers within a Table. A
// cursor maps them to an entry, with one look-up of two words. The entry has the series to add to. Label sets
// are made only for a new entry.
//
// # Series begin with a zero
//
// rate() sees only increases, so it would miss the first value of a series. Each counter and histogram
// therefore begins with a zero, one millisecond after the previous collection. A new generator starts all
// series with a zero later than the last sample of the previous process. That is an ordinary counter reset, so
// rate() and increase() over a restart are right. Tempo does so for counters, _bucket and _count. Here _sum
// begins with a zero too: without it the average, rate of _sum by rate of _count, is wrong. The generator
// removes a series without a span for some time, and ends it with a staleness marker.
//
// # Edges
//
// The two sides of a call arrive in any order, from two services. One side waits up to ten seconds for the
// other. In Tempo a server span without a parent waits as long. Here it waits for two seconds, in separate
// places, and then counts as a call by "user"; otherwise a few thousand requests a second would fill the places
// of the other edges. Its caller can only be the other half of a Zipkin span, whose halves share an id; these
// halves are paired by that id.
//
// # Cardinality
//
// limits.go limits the series of each service and of all services, and the values of each label. Label sets
// beyond a limit share a series: metric_overflow="true", or the value __cardinality_overflow__ for the label.
// Sums stay correct. Stats, the log and these series show that a limit was reached.
package generator
