// Package assert checks expectations about received spans.
//
// A [Spec] is a list of expectations, read from YAML ([ParseYAML]) or from lines of TraceQL ([ParseLines]). A
// [Checker] queries a [Source], usually Tempo's HTTP API ([API]), and returns a [Verdict] for each expectation:
// the spans wanted, found and nearest.
//
// Spans arrive over time, so a verdict is open until it is decided. More spans can only increase the matches of
// a query without negation. So `must` without an upper bound is decided as soon as it holds, and `never` or an
// upper bound as soon as it is violated. The others are decided when the caller says that no more spans will
// come. A `must` with a negation (`!>>`, `!~`) is treated the same way: a match counts even if later spans
// remove it.
//
// A [Shape] has the facts that stay the same from run to run: which spans call which, and
// how often. Two shapes are compared as text.
//
// The package does not depend on the storage: it works with any backend that has Tempo's API.
package assert
