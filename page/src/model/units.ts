// Aliases that say what a number is. Nothing checks them; they make signatures readable.

/** A length of time, or an offset from the start of a trace. Exact up to 2^53 ns, which is 104 days. */
export type Nanoseconds = number;
/** A point in time, in nanoseconds since 1970. Past 2^53, so never a number. */
export type UnixNanoseconds = bigint;
export type Milliseconds = number;
export type UnixMilliseconds = number;
export type UnixSeconds = number;
export type Seconds = number;
/** How often something happens. */
export type PerSecond = number;
/** A part of a whole, from 0 to 1. */
export type Share = number;
/** A part of a whole, from 0 to 100, in tenths. */
export type Percent = number;
export type CssPixels = number;
/** A position in Trace.spans: rows in the order in which the tree is read, parents first. */
export type SpanIndex = number;
/** Lower-case hexadecimal digits: 32 of them for a trace, 16 for a span. */
export type Hex = string;
