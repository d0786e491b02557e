// Two flame graphs: spans over time, in lanes in which nothing overlaps; and spans gathered by the names on the way from
// the root, each as wide as the own time in it and below it, so that the parts of a bar add up to the bar.

import { type Columns } from "../model/trace";
import type { Nanoseconds, SpanIndex } from "../model/units";

export interface Block {
  /** The span, or the longest of those gathered. */
  span: SpanIndex;
  lane: number;
  from: Nanoseconds;
  to: Nanoseconds;
  /** How many spans are gathered, with how many errors, and their time. */
  count: number;
  errors: number;
  total: Nanoseconds;
  own: Nanoseconds;
  /** Into blocks; -1 at the top. */
  parent: number;
}

export interface Flame {
  blocks: Block[];
  lanes: number;
  width: Nanoseconds;
}

/** More lanes than this share the last one: a picture of thousands says nothing. */
const mostLanes = 400;

/** A child is below its parent, in the first lane that is free by the time it starts. */
export function flameOverTime(t: Columns): Flame {
  const lanes = new Int32Array(t.length);
  const free: Nanoseconds[] = [];
  const byStart = Int32Array.from(t.starts, (_, i) => i).sort((a, b) => t.starts[a]! - t.starts[b]! || a - b);
  const blocks: Block[] = new Array<Block>(t.length);
  const placed = new Uint8Array(t.length);
  const place = (i: SpanIndex): void => {
    placed[i] = 1;
    const parent = t.parents[i]!;
    let lane = parent < 0 ? 0 : lanes[parent]! + 1;
    while (lane < mostLanes - 1 && (free[lane] ?? -Infinity) > t.starts[i]!) lane++;
    lane = Math.min(lane, mostLanes - 1);
    lanes[i] = lane;
    const to = t.starts[i]! + t.durations[i]!;
    free[lane] = Math.max(free[lane] ?? -Infinity, to);
    blocks[i] = { span: i, lane, from: t.starts[i]!, to, count: 1, errors: t.errors[i]!, total: t.durations[i]!, own: t.selfTimes[i]!, parent };
  };
  // By start, parents first: a child that starts before its parent waits for the parent's lane.
  for (const i of byStart) {
    const waiting: SpanIndex[] = [];
    for (let k: SpanIndex = i; k >= 0 && !placed[k]; k = t.parents[k]!) waiting.push(k);
    for (let k = waiting.pop(); k !== undefined; k = waiting.pop()) place(k);
  }
  return { blocks, lanes: free.length, width: Math.max(1, t.duration) };
}

export function flameByName(t: Columns): Flame {
  const blocks: Block[] = [];
  const children: Map<number, number>[] = [];
  const roots = new Map<number, number>();
  const blockOf = new Int32Array(t.length);
  const longest: Nanoseconds[] = [];
  for (let i = 0; i < t.length; i++) {
    const parent = t.parents[i]! < 0 ? -1 : blockOf[t.parents[i]!]!;
    const among = parent < 0 ? roots : children[parent]!;
    const key = t.serviceIds[i]! * t.names.length + t.nameIds[i]!;
    let at = among.get(key);
    if (at === undefined) {
      at = blocks.push({ span: i, lane: parent < 0 ? 0 : blocks[parent]!.lane + 1, from: 0, to: 0, count: 0, errors: 0, total: 0, own: 0, parent }) - 1;
      among.set(key, at);
      children.push(new Map());
      longest.push(-1);
    }
    blockOf[i] = at;
    const block = blocks[at]!;
    block.count++;
    block.errors += t.errors[i]!;
    block.total += t.durations[i]!;
    block.own += t.selfTimes[i]!;
    if (t.durations[i]! > longest[at]!) [longest[at], block.span] = [t.durations[i]!, i];
  }
  // Children come after their parents, so backwards every sum is done before it is used.
  const sums = blocks.map((b) => b.own);
  for (let k = blocks.length - 1; k >= 0; k--) if (blocks[k]!.parent >= 0) sums[blocks[k]!.parent]! += sums[k]!;
  let width = 0;
  const arrange = (among: Map<number, number>, from: Nanoseconds): Nanoseconds => {
    let at = from;
    for (const k of [...among.values()].sort((a, b) => sums[b]! - sums[a]! || a - b)) {
      blocks[k]!.from = at;
      at += sums[k]!;
      blocks[k]!.to = at;
    }
    return at;
  };
  width = arrange(roots, 0);
  for (let k = 0; k < blocks.length; k++) arrange(children[k]!, blocks[k]!.from);
  return { blocks, lanes: blocks.reduce((most, b) => Math.max(most, b.lane + 1), 0), width: Math.max(1, width) };
}
