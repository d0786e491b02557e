// Package eval gives a checked TraceQL query its meaning over spans that live in
// the columns of [trace.View].
//
// It is the last of three passes. [Compile] turns the syntax tree into a
// [Program]; [Program.Start] begins a [Run] over the [Parts] of a snapshot. Two evaluators share
// the work:
//
//   - by column: the condition of a filter narrows a bit mask of rows. It decides a comparison with a constant once per distinct value (dictionary code, resource, scope or trace), and then looks the result up row by row.
//   - by row: any expression over one span of one whole [Trace].
//
// The column form is the fast path and the row form the slow one. The columns of one View lack some facts: the
// duration and root of the whole trace, and the tree. If a condition reads such a fact, the mask keeps the row,
// and the row form decides. So a mask is never too small, and it is exact if the condition reads no such fact.
//
// All stages after the filters work trace by trace: a [Trace] holds all rows of one trace from all parts, and
// [Run.Trace] sends it through the pipeline.
package eval
