// The contents that a folded row hides: errors, and the greatest own time. Computed once a trace, in one pass.

import type { Columns } from "./trace";
import type { SpanIndex } from "./units";

interface Inside {
  /** The number of errors in rows before i; one more entry than rows. */
  errorsBefore: Int32Array;
  /** The row below i, and not i itself, with the greatest own time; -1 without children. */
  worst: Int32Array;
}

const known = new WeakMap<Columns, Inside>();

function insideOf(t: Columns): Inside {
  const found = known.get(t);
  if (found) return found;
  const errorsBefore = new Int32Array(t.length + 1);
  const worst = new Int32Array(t.length).fill(-1);
  for (let i = 0; i < t.length; i++) errorsBefore[i + 1] = errorsBefore[i]! + t.errors[i]!;
  // Backwards, so that every child is done before its parent.
  for (let i = t.length - 1; i >= 0; i--) {
    const parent = t.parents[i]!;
    if (parent < 0) continue;
    const below = worst[i]!;
    const candidate = below >= 0 && t.selfTimes[below]! > t.selfTimes[i]! ? below : i;
    if (worst[parent]! < 0 || t.selfTimes[candidate]! >= t.selfTimes[worst[parent]!]!) worst[parent] = candidate;
  }
  const made = { errorsBefore, worst };
  known.set(t, made);
  return made;
}

/** Errors in the rows from..to-1. */
export function errorsIn(t: Columns, from: SpanIndex, to: SpanIndex): number {
  const { errorsBefore } = insideOf(t);
  return errorsBefore[to]! - errorsBefore[from]!;
}

/** The span below i with the greatest own time, or -1. */
export function worstBelow(t: Columns, i: SpanIndex): SpanIndex {
  return insideOf(t).worst[i]!;
}

/** Of the siblings from..to-1 and all below them, the one with the greatest own time. */
export function worstIn(t: Columns, from: SpanIndex, to: SpanIndex): SpanIndex {
  let best = from;
  for (let i = from; i < to; i = t.subtreeEnds[i]!) {
    for (const candidate of [i, worstBelow(t, i)]) if (candidate >= 0 && t.selfTimes[candidate]! > t.selfTimes[best]!) best = candidate;
  }
  return best;
}

/** Runs of equal siblings: neighbours under one parent with the same service and name. */
export interface Runs {
  /** For the first row of a run the row after its last subtree; 0 for every other row. */
  ends: Int32Array;
  /** For the first row of a run the number of siblings. */
  counts: Int32Array;
  /** For every sibling of a run its first row; -1 outside of runs. */
  heads: Int32Array;
}

/** Fewer are shown one by one. */
export const leastRun = 5;

const knownRuns = new WeakMap<Columns, Runs>();

/** Keeps runs that a Worker found in the same columns. */
export function keepRuns(t: Columns, runs: Runs): void {
  knownRuns.set(t, runs);
}

export function runsOf(t: Columns): Runs {
  const found = knownRuns.get(t);
  if (found) return found;
  const runs: Runs = { ends: new Int32Array(t.length), counts: new Int32Array(t.length), heads: new Int32Array(t.length).fill(-1) };
  const seen = new Uint8Array(t.length);
  for (let i = 0; i < t.length; i++) {
    if (seen[i]) continue;
    let count = 0;
    let end = i;
    while (end < t.length && t.depths[end] === t.depths[i] && t.parents[end] === t.parents[i] && t.nameIds[end] === t.nameIds[i] && t.serviceIds[end] === t.serviceIds[i]) {
      seen[end] = 1;
      count++;
      end = t.subtreeEnds[end]!;
    }
    if (count < leastRun || t.parents[i]! < 0) continue;
    runs.ends[i] = end;
    runs.counts[i] = count;
    for (let k = i; k < end; k = t.subtreeEnds[k]!) runs.heads[k] = i;
  }
  knownRuns.set(t, runs);
  return runs;
}
