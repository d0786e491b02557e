// Package bench measures trace backends from outside, ours and others alike:
// how many spans they take and at which cost ([Ingest]), how soon a span is
// found ([Freshness]), how fast queries are ([Query]), and what a long history
// costs, right after a start and later ([Blocks]: a backend of its own).
//
// A client shares the machine with the server it measures, so it must cost
// next to nothing. Payloads are encoded once; per request a copy gets new ids,
// times and attribute values at known offsets (payload.go). The client's own
// CPU per span is part of each report: when it nears the server's, believe the
// server's CPU per span and not the spans per second.
//
// The measurements:
//   - Only spans that the server acknowledged count; rejected_spans of a partial
//     success do not.
//   - With a rate, latency runs from when a request was due, not from when a free
//     worker sent it, so that a stalled server cannot hide its stalls.
//   - The warm-up is over before anything is read or counted.
//
// Only loopback addresses are driven: this is a tool for one's own machine.
package bench
