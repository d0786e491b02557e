// Package eval gives a checked TraceQL query its meaning over spans that live in
// the columns of [trace.View].
//
// It is the last of three passes. [Compile] turns the syntax tree into a
// [Program]; [Program.Start] begins a [Run] over the [Parts] of a snapshot. Two evaluators share
// the work:
//
//   - by column: the condition of a filter narrows a bit mask of rows. A
//     comparison with a constant is decided once per distinct value, that is per
//     dictionary code, resource, scope or trace, and then looked up row by row.
//   - by row: any expression over one span of one whole [Trace].
//
// The column form is the fast path and the row form the slow one. Facts that the
// columns of one View cannot know (duration and root of the whole trace, the
// tree) leaves a row in the mask, and the row form decides; so a mask is never
// too small, and exact when the condition reads nothing of that kind.
//
// All stages after the filters work trace by trace: a [Trace] holds all rows
// of one trace, whichever parts they came from, and [Run.Trace] sends it
// through the pipeline.
package eval
