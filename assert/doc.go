// Package assert checks expectations about received spans.
//
// A [Spec] is a list of expectations, read from YAML ([ParseYAML]) or from lines
// of TraceQL ([ParseLines]). A [Checker] asks a [Source], most often Tempo's HTTP
// API ([API]), and returns a [Verdict] for each: the expectation, the finding,
// and what came nearest.
//
// Spans arrive over time, so a verdict is open until it is decided. More spans
// can only make a query match more, never less, as long as the query has no
// negation; so `must` without an upper bound is decided as soon as it holds, and
// `never` or an upper bound as soon as it is broken. The others are decided when the
// caller says that no more spans will come. A `must` that negates (`!>>`, `!~`)
// is treated the same way: a match counts even if it is gone later.
//
// A [Shape] has the facts that stay the same from run to run: which spans call which, and
// how often. Two shapes are compared as text.
//
// The package knows nothing of storage. Any backend with Tempo's API can be asked.
package assert
