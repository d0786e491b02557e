// Clock skew: a child that seems to run before its parent called it, or after, since two machines' clocks differ.
//
// Corrected as Jaeger's UI has always done: a child of another service that lies outside of its parent is moved, with
// all that hangs below it in the same service. One that is no longer than its parent is centred in it, as if the way
// there and back took equally long; a longer one is moved to its parent's start. A child inside of its parent, or of
// the same service, is left alone: there the clock is the same or nothing is known.

import { arrange, type Columns } from "./trace";
import type { Nanoseconds, SpanIndex } from "./units";

/** How far each row must be moved, or undefined where none must. */
export function skewOf(t: Columns): Float64Array | undefined {
  const shifts = new Float64Array(t.length);
  let found = false;
  for (let i = 0; i < t.length; i++) {
    const parent = t.parents[i]!;
    if (parent < 0) continue;
    const sameClock = t.serviceIds[i] === t.serviceIds[parent];
    shifts[i] = sameClock ? shifts[parent]! : skewBetween(t, parent, i, shifts[parent]!);
    if (shifts[i] !== 0) found = true;
  }
  return found ? shifts : undefined;
}

function skewBetween(t: Columns, parent: SpanIndex, child: SpanIndex, moved: Nanoseconds): Nanoseconds {
  const from = t.starts[parent]! + moved;
  const to = from + t.durations[parent]!;
  const [start, length] = [t.starts[child]!, t.durations[child]!];
  if (length > t.durations[parent]!) return start < from ? from - start : 0;
  if (start >= from && start + length <= to) return 0;
  // Work that outlives its caller on purpose is no skew: a consumer may begin whenever it likes.
  if (kindsThatOutlive.has(t.kinds[child]!)) return 0;
  return from + (t.durations[parent]! - length) / 2 - start;
}

/** Consumers, by OTLP's number. */
const kindsThatOutlive = new Set([5]);

/** The trace with its clocks put right, or undefined where nothing is wrong with them. */
export function corrected(t: Columns): Columns | undefined {
  const byRow = skewOf(t);
  if (!byRow) return undefined;
  const bySource = new Float64Array(t.length);
  for (let i = 0; i < t.length; i++) bySource[t.order[i]!] = byRow[i]!;
  return arrange(t.id, t.raw, bySource);
}

export interface Skew {
  service: string;
  spans: number;
  /** The greatest shift, with its sign. */
  by: Nanoseconds;
}

/** The moved services, the greatest shift first. */
export function skewSummary(t: Columns): Skew[] {
  const made = new Map<number, Skew>();
  for (let i = 0; i < t.length; i++) {
    const shift = t.shifts?.[i] ?? 0;
    if (shift === 0) continue;
    const known = made.get(t.serviceIds[i]!) ?? { service: t.services[t.serviceIds[i]!]!, spans: 0, by: 0 };
    known.spans++;
    if (Math.abs(shift) > Math.abs(known.by)) known.by = shift;
    made.set(t.serviceIds[i]!, known);
  }
  return [...made.values()].sort((a, b) => Math.abs(b.by) - Math.abs(a.by));
}
