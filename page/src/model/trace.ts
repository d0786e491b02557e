// A trace as the page shows it: spans in columns, in the order in which the tree is read.
//
// Invariant: every span of the input has exactly one row, whatever its ids say, and the rows of a subtree are
// neighbours: span i and its descendants are the rows i .. subtreeEnd[i]-1. Collapsing is then a jump, not a walk.
//
// Traces from the field break every promise, so the tree is made total: a parent that is not there makes an orphan,
// shown as one more root; of several spans with one id the first is the parent; a cycle is cut at its earliest span;
// a missing start time reads as the start of the trace. Times are kept as offsets from the start of the trace, since
// nanoseconds since 1970 do not fit a number.
//
// A row has no object. A million objects with their attributes would cost a gigabyte and seconds of garbage collection,
// and a reader looks at a few dozen of them: spanAt() decodes one when it is looked at. The columns are plain data, so
// that a Worker can build them and hand them over without a copy.

import { orderOf } from "./order";
import type { Hex, Nanoseconds, SpanIndex, UnixNanoseconds } from "./units";
import type { Attribute } from "./value";

export type Kind = "unspecified" | "internal" | "server" | "client" | "producer" | "consumer";
export type StatusCode = "unset" | "ok" | "error";

/** By OTLP's numbers, which the columns hold. */
export const kinds: Kind[] = ["unspecified", "internal", "server", "client", "producer", "consumer"];
export const statusCodes: StatusCode[] = ["unset", "ok", "error"];

export interface Resource {
  service: string;
  attributes: Attribute[];
}

export interface Scope {
  name: string;
  version: string;
  attributes: Attribute[];
}

export interface SpanEvent {
  time: UnixNanoseconds;
  name: string;
  attributes: Attribute[];
}

export interface Link {
  traceId: Hex;
  spanId: Hex;
  attributes: Attribute[];
}

/** One span as it came. Resource and scope are shared by the spans that came with them. */
export interface SpanData {
  spanId: Hex;
  parentId: Hex;
  name: string;
  kind: Kind;
  start: UnixNanoseconds;
  end: UnixNanoseconds;
  traceState: string;
  statusCode: StatusCode;
  statusMessage: string;
  attributes: Attribute[];
  events: SpanEvent[];
  links: Link[];
  resource: Resource;
  scope: Scope;
}

/** The spans in the order in which they came, each decoded when it is asked for. */
export interface SpanStore {
  at(source: number): SpanData;
}

/** The columns of the input, in the order in which the spans came. */
export interface RawSpans {
  length: number;
  /** The time from which starts, ends and eventTimes count. */
  base: UnixNanoseconds;
  /** NaN where a span has none. */
  starts: Float64Array;
  ends: Float64Array;
  /** Two words a span, high and low; both 0 for none. */
  ids: Uint32Array;
  parentIds: Uint32Array;
  names: string[];
  nameIds: Int32Array;
  services: string[];
  serviceIds: Int32Array;
  kinds: Uint8Array;
  statuses: Uint8Array;
  /** 1 where the status is error or an attribute says error=true. */
  errors: Uint8Array;
  /** The events of span i are eventTimes[eventStarts[i]] .. eventTimes[eventStarts[i+1]-1]. */
  eventStarts: Int32Array;
  eventTimes: Float64Array;
}

export interface Columns {
  id: Hex;
  length: number;
  start: UnixNanoseconds;
  duration: Nanoseconds;
  /** In the order in which the rows name them. */
  services: string[];
  names: string[];
  errorCount: number;
  /** Number of levels: 1 for a lone root, 0 for no spans. */
  depth: number;
  raw: RawSpans;
  /** Columns, by SpanIndex. */
  /** The row's place in raw and in the store. */
  order: Int32Array;
  starts: Float64Array;
  durations: Float64Array;
  selfTimes: Float64Array;
  parents: Int32Array;
  depths: Int32Array;
  subtreeEnds: Int32Array;
  childCounts: Int32Array;
  serviceIds: Int32Array;
  nameIds: Int32Array;
  kinds: Uint8Array;
  statuses: Uint8Array;
  errors: Uint8Array;
  /** 1 where a parent is named but not part of the trace. */
  orphans: Uint8Array;
  /** By how much clock skew moved a span, or undefined where it moved none. */
  shifts: Float64Array | undefined;
}

export interface Trace extends Columns {
  store: SpanStore;
}

/** Arranges the input as a tree. shifts, by source, are added to the times first. */
export function arrange(id: Hex, raw: RawSpans, shifts?: Float64Array): Columns {
  const n = raw.length;
  const starts = shifts ? raw.starts.map((t, i) => t + shifts[i]!) : raw.starts;
  const { order, parents, depths } = readingOrder(raw, starts);
  const first = bound(starts, Math.min, Infinity);
  const from = Number.isFinite(first) ? first : 0;
  const t: Columns = {
    id,
    length: n,
    start: raw.base + BigInt(Math.round(from)),
    duration: 0,
    services: [],
    names: raw.names,
    errorCount: 0,
    depth: 0,
    raw,
    order,
    starts: new Float64Array(n),
    durations: new Float64Array(n),
    selfTimes: new Float64Array(n),
    parents,
    depths,
    subtreeEnds: new Int32Array(n),
    childCounts: new Int32Array(n),
    serviceIds: new Int32Array(n),
    nameIds: gathered(raw.nameIds, order),
    kinds: gathered(raw.kinds, order),
    statuses: gathered(raw.statuses, order),
    errors: gathered(raw.errors, order),
    orphans: new Uint8Array(n),
    shifts: shifts && gathered(shifts, order),
  };
  fillTimes(t, starts, from, shifts);
  fillServices(t);
  fillTree(t);
  return t;
}

function bound(of: Float64Array, pick: (a: number, b: number) => number, initial: number): number {
  let found = initial;
  for (const value of of) if (!Number.isNaN(value)) found = pick(found, value);
  return found;
}

function gathered<T extends Int32Array | Uint8Array | Float64Array>(column: T, order: Int32Array): T {
  const made = new (column.constructor as new (n: number) => T)(order.length);
  for (let i = 0; i < order.length; i++) made[i] = column[order[i]!]!;
  return made;
}

function fillTimes(t: Columns, starts: Float64Array, from: Nanoseconds, shifts: Float64Array | undefined): void {
  for (let i = 0; i < t.length; i++) {
    const source = t.order[i]!;
    const start = Number.isNaN(starts[source]!) ? 0 : starts[source]! - from;
    const end = t.raw.ends[source]! + (shifts?.[source] ?? 0) - from;
    t.starts[i] = start;
    t.durations[i] = end > start ? end - start : 0;
    t.duration = Math.max(t.duration, start + t.durations[i]!);
    const named = t.raw.parentIds[2 * source]! !== 0 || t.raw.parentIds[2 * source + 1]! !== 0;
    t.orphans[i] = t.parents[i] === -1 && named ? 1 : 0;
    t.errorCount += t.errors[i]!;
  }
}

function fillServices(t: Columns): void {
  const known = new Int32Array(t.raw.services.length).fill(-1);
  for (let i = 0; i < t.length; i++) {
    const raw = t.raw.serviceIds[t.order[i]!]!;
    if (known[raw]! < 0) known[raw] = t.services.push(t.raw.services[raw]!) - 1;
    t.serviceIds[i] = known[raw]!;
  }
}

/** Walks backwards, so that every child is done before its parent. */
function fillTree(t: Columns): void {
  for (let i = t.length - 1; i >= 0; i--) {
    const end = Math.max(i + 1, t.subtreeEnds[i]!);
    t.subtreeEnds[i] = end;
    t.depth = Math.max(t.depth, t.depths[i]! + 1);
    t.selfTimes[i] = selfTime(t, i);
    const parent = t.parents[i]!;
    if (parent < 0) continue;
    t.childCounts[parent]!++;
    t.subtreeEnds[parent] = Math.max(t.subtreeEnds[parent]!, end);
  }
}

/** The duration of span i less the time that its direct children cover. Children are the rows at depth+1, by start. */
function selfTime(t: Columns, i: SpanIndex): Nanoseconds {
  const start = t.starts[i]!;
  const end = start + t.durations[i]!;
  let covered = 0;
  let until = start;
  for (let c = i + 1; c < t.subtreeEnds[i]!; c = t.subtreeEnds[c]!) {
    const from = Math.max(until, t.starts[c]!);
    const to = Math.min(end, t.starts[c]! + t.durations[c]!);
    if (to > from) {
      covered += to - from;
      until = to;
    }
  }
  return end - start - covered;
}

interface Reading {
  order: Int32Array;
  parents: Int32Array;
  depths: Int32Array;
}

/** Depth first, siblings by start time (then by their order in the input). Iterative: a trace may be 10,000 levels deep. */
function readingOrder(raw: RawSpans, starts: Float64Array): Reading {
  const n = raw.length;
  // A missing start sorts first, as 0 nanoseconds since 1970 does.
  const byStart = orderOf(starts);
  const parentOf = findParents(raw);
  // Lists of children as chains, so that a million spans need three arrays and no objects. Filled backwards, so that
  // each chain begins with the earliest child.
  const firstChild = new Int32Array(n + 1).fill(-1); // the last place is for the roots
  const nextSibling = new Int32Array(n).fill(-1);
  for (let k = n - 1; k >= 0; k--) {
    const i = byStart[k]!;
    const parent = parentOf[i]! < 0 ? n : parentOf[i]!;
    nextSibling[i] = firstChild[parent]!;
    firstChild[parent] = i;
  }
  const made: Reading = { order: new Int32Array(n), parents: new Int32Array(n), depths: new Int32Array(n) };
  const rowOf = new Int32Array(n).fill(-1);
  let rows = 0;
  const add = (i: number, parent: SpanIndex, depth: number): void => {
    made.order[rows] = i;
    made.parents[rows] = parent;
    made.depths[rows] = depth;
    rowOf[i] = rows++;
  };
  /** Walks down to first children and on to next siblings; the way back up is the parent chain. */
  const place = (root: number): void => {
    if (rowOf[root]! >= 0) return;
    add(root, -1, 0);
    let at = root;
    let next = firstChild[root]!;
    for (;;) {
      while (next >= 0 && rowOf[next]! >= 0) next = nextSibling[next]!;
      if (next >= 0) {
        const row = rowOf[at]!;
        add(next, row, made.depths[row]! + 1);
        at = next;
        next = firstChild[at]!;
      } else if (at === root) return;
      else {
        next = nextSibling[at]!;
        at = made.order[made.parents[rowOf[at]!]!]!;
      }
    }
  };
  for (let i = firstChild[n]!; i >= 0; i = nextSibling[i]!) place(i);
  // Spans without a row yet hang below a cycle, or form one: cut it at its earliest span.
  for (const i of byStart) place(i);
  return made;
}

/** For each span the position of its parent in the input, or -1. An open-addressing table of ids keeps it free of strings. */
function findParents(raw: RawSpans): Int32Array {
  let size = 16;
  while (size < raw.length * 2) size *= 2;
  const slots = new Int32Array(size).fill(-1);
  const find = (hi: number, lo: number): number => {
    let slot = (Math.imul(hi ^ Math.imul(lo, 0x9e3779b1), 0x85ebca6b) >>> 7) & (size - 1);
    while (slots[slot]! >= 0 && (raw.ids[2 * slots[slot]!] !== hi || raw.ids[2 * slots[slot]! + 1] !== lo)) slot = (slot + 1) & (size - 1);
    return slot;
  };
  for (let i = 0; i < raw.length; i++) {
    const [hi, lo] = [raw.ids[2 * i]!, raw.ids[2 * i + 1]!];
    if (hi === 0 && lo === 0) continue;
    const slot = find(hi, lo);
    if (slots[slot]! < 0) slots[slot] = i;
  }
  const parents = new Int32Array(raw.length);
  for (let i = 0; i < raw.length; i++) {
    const [hi, lo] = [raw.parentIds[2 * i]!, raw.parentIds[2 * i + 1]!];
    const parent = hi === 0 && lo === 0 ? -1 : slots[find(hi, lo)]!;
    parents[i] = parent === i ? -1 : parent;
  }
  return parents;
}

/** The decoded span of a row. */
export function spanAt(trace: Trace, i: SpanIndex): SpanData {
  return trace.store.at(trace.order[i]!);
}

export function serviceOf(trace: Columns, i: SpanIndex): string {
  return trace.services[trace.serviceIds[i]!]!;
}

export function nameOf(trace: Columns, i: SpanIndex): string {
  return trace.names[trace.nameIds[i]!]!;
}

export function kindOf(trace: Columns, i: SpanIndex): Kind {
  return kinds[trace.kinds[i]!] ?? "unspecified";
}

export function endOf(trace: Columns, i: SpanIndex): Nanoseconds {
  return trace.starts[i]! + trace.durations[i]!;
}

export function spanIdAt(trace: Columns, i: SpanIndex): Hex {
  const at = 2 * trace.order[i]!;
  return wordsToHex(trace.raw.ids[at]!, trace.raw.ids[at + 1]!);
}

/** "" for none. */
export function wordsToHex(hi: number, lo: number): Hex {
  return hi === 0 && lo === 0 ? "" : hi.toString(16).padStart(8, "0") + lo.toString(16).padStart(8, "0");
}

export function hexToWords(id: Hex): [number, number] {
  return id === "" ? [0, 0] : [Number.parseInt(id.slice(0, 8), 16), Number.parseInt(id.slice(8, 16), 16)];
}

/** The events of a row, as offsets from the start of the trace. */
export function eventTimesOf(trace: Columns, i: SpanIndex): Float64Array {
  const { raw } = trace;
  const source = trace.order[i]!;
  const [from, to] = [raw.eventStarts[source]!, raw.eventStarts[source + 1]!];
  if (from === to) return none;
  const offset = Number(raw.base - trace.start) + (trace.shifts?.[i] ?? 0);
  return raw.eventTimes.slice(from, to).map((t) => t + offset);
}

const none = new Float64Array(0);

/** The span that names the trace: the first true root, or else the earliest span. -1 for no spans. */
export function rootOf(trace: Columns): SpanIndex {
  for (let i = 0; i < trace.length; i = trace.subtreeEnds[i]!) if (!trace.orphans[i]) return i;
  return trace.length > 0 ? 0 : -1;
}

/** "edge: EntryPoint web uservice3.localhost" */
export function titleOf(trace: Columns): string {
  const root = rootOf(trace);
  return root < 0 ? "a trace without spans" : `${serviceOf(trace, root)}: ${nameOf(trace, root)}`;
}

/** The first row with the given span id, or -1. */
export function findSpan(trace: Columns, spanId: Hex): SpanIndex {
  if (!/^[0-9a-f]{16}$/i.test(spanId)) return -1;
  const [hi, lo] = hexToWords(spanId);
  for (let i = 0; i < trace.length; i++) {
    const at = 2 * trace.order[i]!;
    if (trace.raw.ids[at] === hi && trace.raw.ids[at + 1] === lo) return i;
  }
  return -1;
}
