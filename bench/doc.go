// Package bench measures trace backends from outside, etude's and others: the number of spans they accept and
// their cost ([Ingest]), the time until a query finds a span ([Freshness]), the speed of queries ([Query]), and
// the cost of a long history, right after a start and later ([Blocks], which runs its own backend).
//
// The client shares the machine with the server, so it must use little CPU. It encodes payloads once. For each
// request it writes new ids, times and attribute values into a copy, at known offsets (payload.go). Each report
// shows the client's own CPU per span. When it is close to the server's, trust the server's CPU per span and
// not the spans per second.
//
// The measurements:
//   - Only acknowledged spans count, without the rejected_spans of a partial success.
//   - With a rate, latency starts when a request is due, not when a worker sends it. Otherwise a stalled
//     server could hide its stalls.
//   - The warm-up ends before any measurement begins.
//
// The package sends load only to loopback addresses.
package bench
