// The rows of the walk's small waterfalls: spans of a trace, or ghosts.

import { formatDuration } from "./format";
import { nameOf, serviceOf, spanIdAt, type Trace } from "./trace";
import type { Nanoseconds, Share, SpanIndex } from "./units";
import type { Ghost } from "./walkanswer";

/** A stretch of the row's line, as shares of its width. */
export interface Stretch {
  left: Share;
  width: Share;
}

export interface Row {
  key: string;
  service: string;
  name: string;
  depth: number;
  bar: Stretch;
  /** The parts in which it waited for no child. */
  own: Stretch[];
  duration: string;
  /** Into the trace; -1 for a ghost. */
  span: SpanIndex;
  spanId: string;
  error: boolean;
  orphan: boolean;
  ghost: Ghost | undefined;
}

export function rowsOf(trace: Trace): Row[] {
  const whole = Math.max(1, trace.duration);
  const share = (from: Nanoseconds, to: Nanoseconds): Stretch => ({ left: from / whole, width: Math.max(0, to - from) / whole });
  return Array.from({ length: trace.length }, (_, i): Row => {
    const [from, to] = [trace.starts[i]!, trace.starts[i]! + trace.durations[i]!];
    return {
      key: spanIdAt(trace, i),
      service: serviceOf(trace, i),
      name: nameOf(trace, i),
      depth: trace.depths[i]!,
      bar: share(from, to),
      own: ownOf(trace, i).map(([a, b]) => share(a, b)),
      duration: formatDuration(trace.durations[i]!),
      span: i,
      spanId: spanIdAt(trace, i),
      error: trace.errors[i] === 1,
      orphan: trace.orphans[i] === 1,
      ghost: undefined,
    };
  });
}

/** The time of a span that none of its children covers. Children are in the order of their starts. */
function ownOf(trace: Trace, i: SpanIndex): [Nanoseconds, Nanoseconds][] {
  const end = trace.starts[i]! + trace.durations[i]!;
  const made: [Nanoseconds, Nanoseconds][] = [];
  let at = trace.starts[i]!;
  for (let c = i + 1; c < trace.subtreeEnds[i]!; c = trace.subtreeEnds[c]!) {
    const from = Math.min(end, Math.max(at, trace.starts[c]!));
    if (from > at) made.push([at, from]);
    at = Math.max(at, Math.min(end, trace.starts[c]! + trace.durations[c]!));
  }
  if (end > at) made.push([at, end]);
  return made;
}

/** Ghosts on the line of a request that took so many microseconds. */
export function ghostRows(ghosts: Ghost[], whole: number): Row[] {
  const share = ({ from, to }: { from: number; to: number }): Stretch => ({ left: from / Math.max(1, whole), width: Math.max(0, to - from) / Math.max(1, whole) });
  return ghosts.map((g, i): Row => ({
    key: `ghost ${i}`,
    service: g.service,
    name: g.name,
    depth: g.depth,
    bar: share(g),
    own: g.own.to > g.own.from ? [share(g.own)] : [],
    duration: `${g.guessed ? "≈ " : ""}${formatDuration((g.to - g.from) * 1000)}`,
    span: -1,
    spanId: "",
    error: false,
    orphan: false,
    ghost: g,
  }));
}
