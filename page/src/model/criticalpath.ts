// The critical path: which span the trace was waiting for at each moment.
//
// The rule is that of CRISP (Zhang et al., USENIX ATC 2022): go backwards from the end of the root. Of the children that
// had ended by then, the parent waited for the one that ended last, so the path goes into it, by the same rule.
// It comes out where that child began, and goes on with the last child that had ended before that. Where no child had
// ended, the time is the parent's own.
//
// A child that ends after the moment that the path has reached overlaps a span which is on the path already; it ran
// beside it and held nothing up. Children are cut to their parent first, since clocks differ and some work outlives
// its caller.
//
// The segments cover the root without gap or overlap, so the shares of all spans add up to 1. A trace with several
// roots, or with none since the root has not arrived, is read as if one span ran from its first moment to its last;
// that span's own time is reported as span -1.

import type { Columns } from "./trace";
import type { Nanoseconds, SpanIndex } from "./units";

export interface Segment {
  /** -1 for time in which no span ran. */
  span: SpanIndex;
  from: Nanoseconds;
  to: Nanoseconds;
}

export interface PathShare {
  span: SpanIndex;
  time: Nanoseconds;
}

export interface CriticalPath {
  /** The time that the path explains. */
  from: Nanoseconds;
  to: Nanoseconds;
  /** In order of time. */
  segments: Segment[];
  /** The time of each span on the path, greatest first. They add up to to - from. */
  shares: PathShare[];
}

export function criticalPath(t: Columns): CriticalPath {
  const root = onlyRoot(t);
  const from = root < 0 ? 0 : t.starts[root]!;
  const to = root < 0 ? t.duration : from + t.durations[root]!;
  const segments = t.length === 0 ? [] : walk(t, root, from, to).reverse();
  return { from, to, segments, shares: sum(segments) };
}

/** The root, or -1 where there is not exactly one. */
function onlyRoot(t: Columns): SpanIndex {
  let found = -1;
  for (let i = 0; i < t.length; i = t.subtreeEnds[i]!) {
    if (t.orphans[i]) continue;
    if (found >= 0) return -1;
    found = i;
  }
  return found;
}

/** A span on the path that is being walked through. */
interface Frame {
  span: SpanIndex;
  from: Nanoseconds;
  /** The moment that the walk has reached inside this span. */
  at: Nanoseconds;
  /** Cut to the span, the one that ends last first. */
  children: Segment[];
  next: number;
}

/** The segments, latest first. Iterative: a trace may be 10,000 levels deep. */
function walk(t: Columns, root: SpanIndex, from: Nanoseconds, to: Nanoseconds): Segment[] {
  const made: Segment[] = [];
  const own = (frame: Frame, until: Nanoseconds): void => {
    if (frame.at > until) made.push({ span: frame.span, from: until, to: frame.at });
    frame.at = until;
  };
  const stack: Frame[] = [enter(t, root, from, to)];
  for (let frame = stack.at(-1); frame; frame = stack.at(-1)) {
    const child = frame.children[frame.next++];
    if (!child) {
      own(frame, frame.from);
      stack.pop();
    } else if (child.to <= frame.at) {
      own(frame, child.to);
      frame.at = child.from;
      stack.push(enter(t, child.span, child.from, child.to));
    }
  }
  return made;
}

function enter(t: Columns, span: SpanIndex, from: Nanoseconds, to: Nanoseconds): Frame {
  const children: Segment[] = [];
  const end = span < 0 ? t.length : t.subtreeEnds[span]!;
  for (let c = span + 1; c < end; c = t.subtreeEnds[c]!) {
    const cut = { span: c, from: Math.max(from, t.starts[c]!), to: Math.min(to, t.starts[c]! + t.durations[c]!) };
    if (cut.to > cut.from) children.push(cut);
  }
  children.sort((a, b) => b.to - a.to || a.from - b.from);
  return { span, from, at: to, children, next: 0 };
}

function sum(segments: Segment[]): PathShare[] {
  const times = new Map<SpanIndex, Nanoseconds>();
  for (const s of segments) times.set(s.span, (times.get(s.span) ?? 0) + s.to - s.from);
  return [...times].map(([span, time]) => ({ span, time })).sort((a, b) => b.time - a.time || a.span - b.span);
}
