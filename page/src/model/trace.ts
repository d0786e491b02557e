// A trace as the page shows it: spans in columns, in the order in which the tree is read.
//
// Invariant: every span of the input has exactly one row, whatever its ids say, and the rows of a subtree are
// neighbours: span i and its descendants are the rows i .. subtreeEnd[i]-1. Collapsing is then a jump, not a walk.
//
// Traces from the field break every promise, so the tree is made total: a parent that is not there makes an orphan,
// shown as one more root; of several spans with one id the first is the parent; a cycle is cut at its earliest span;
// a missing start time reads as the start of the trace. Times are kept as offsets from the start of the trace, since
// nanoseconds since 1970 do not fit a number.

import type { Hex, Nanoseconds, SpanIndex, UnixNanoseconds } from "./units";
import type { Attribute } from "./value";

export type Kind = "unspecified" | "internal" | "server" | "client" | "producer" | "consumer";
export type StatusCode = "unset" | "ok" | "error";

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

export interface Trace {
  id: Hex;
  length: number;
  start: UnixNanoseconds;
  duration: Nanoseconds;
  spans: SpanData[];
  services: string[];
  errorCount: number;
  /** Number of levels: 1 for a lone root, 0 for no spans. */
  depth: number;
  /** Columns, by SpanIndex. */
  starts: Float64Array;
  durations: Float64Array;
  selfTimes: Float64Array;
  parents: Int32Array;
  depths: Int32Array;
  subtreeEnds: Int32Array;
  childCounts: Int32Array;
  serviceIds: Int32Array;
  errors: Uint8Array;
  /** 1 where a parent is named but not part of the trace. */
  orphans: Uint8Array;
}

export function buildTrace(id: Hex, input: SpanData[]): Trace {
  const [start, end] = bounds(input);
  const order = readingOrder(input);
  const spans = order.map((o) => input[o.source]!);
  const n = spans.length;
  const trace: Trace = {
    id,
    length: n,
    start,
    duration: Number(end - start),
    spans,
    services: [...new Set(spans.map((s) => s.resource.service))],
    errorCount: 0,
    depth: 0,
    starts: new Float64Array(n),
    durations: new Float64Array(n),
    selfTimes: new Float64Array(n),
    parents: Int32Array.from(order, (o) => o.parent),
    depths: Int32Array.from(order, (o) => o.depth),
    subtreeEnds: new Int32Array(n),
    childCounts: new Int32Array(n),
    serviceIds: new Int32Array(n),
    errors: new Uint8Array(n),
    orphans: new Uint8Array(n),
  };
  fillColumns(trace);
  fillTree(trace);
  return trace;
}

function fillColumns(t: Trace): void {
  const serviceIds = new Map(t.services.map((name, i) => [name, i]));
  t.spans.forEach((span, i) => {
    const start = span.start === 0n ? t.start : span.start;
    t.starts[i] = Number(start - t.start);
    t.durations[i] = span.end > start ? Number(span.end - start) : 0;
    t.serviceIds[i] = serviceIds.get(span.resource.service)!;
    t.errors[i] = isError(span) ? 1 : 0;
    t.orphans[i] = t.parents[i] === -1 && span.parentId !== "" ? 1 : 0;
    t.errorCount += t.errors[i]!;
  });
}

/** Walks backwards, so that every child is done before its parent. */
function fillTree(t: Trace): void {
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

function isError(span: SpanData): boolean {
  return span.statusCode === "error" || span.attributes.some((a) => a.key === "error" && (a.value === true || a.value === "true"));
}

function bounds(spans: SpanData[]): [UnixNanoseconds, UnixNanoseconds] {
  let start = 0n;
  let end = 0n;
  for (const span of spans) {
    if (span.start !== 0n && (start === 0n || span.start < start)) start = span.start;
  }
  for (const span of spans) {
    const last = span.end > span.start ? span.end : span.start;
    if (last > end) end = last;
  }
  return [start, end > start ? end : start];
}

/** The duration of span i less the time that its direct children cover. Children are the rows at depth+1, by start. */
function selfTime(t: Trace, i: SpanIndex): Nanoseconds {
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

interface Placed {
  source: number;
  parent: SpanIndex;
  depth: number;
}

/** Depth first, siblings by start time (then by their order in the input). Iterative: a trace may be 10,000 levels deep. */
function readingOrder(input: SpanData[]): Placed[] {
  const byStart = input.map((_, i) => i).sort((a, b) => compare(input[a]!.start, input[b]!.start) || a - b);
  const parentOf = findParents(input);
  const children = new Map<number, number[]>();
  for (const i of byStart) {
    const siblings = children.get(parentOf[i]!);
    if (siblings) siblings.push(i);
    else children.set(parentOf[i]!, [i]);
  }
  const order: Placed[] = [];
  const placed = new Uint8Array(input.length);
  const place = (root: number): void => {
    const stack: Placed[] = [{ source: root, parent: -1, depth: 0 }];
    for (let next = stack.pop(); next; next = stack.pop()) {
      if (placed[next.source]) continue;
      placed[next.source] = 1;
      const row = order.push(next) - 1;
      const below = children.get(next.source) ?? [];
      for (let c = below.length - 1; c >= 0; c--) stack.push({ source: below[c]!, parent: row, depth: next.depth + 1 });
    }
  };
  children.get(-1)?.forEach(place);
  // What is left hangs below a cycle, or is one: cut it at its earliest span.
  for (const i of byStart) if (!placed[i]) place(i);
  return order;
}

/** For each span the position of its parent in the input, or -1. */
function findParents(input: SpanData[]): Int32Array {
  const byId = new Map<Hex, number>();
  input.forEach((span, i) => {
    if (span.spanId !== "" && !byId.has(span.spanId)) byId.set(span.spanId, i);
  });
  return Int32Array.from(input, (span, i) => {
    const parent = span.parentId === "" ? undefined : byId.get(span.parentId);
    return parent === undefined || parent === i ? -1 : parent;
  });
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The span that names the trace: the first true root, or else the earliest span. -1 for no spans. */
export function rootOf(trace: Trace): SpanIndex {
  for (let i = 0; i < trace.length; i = trace.subtreeEnds[i]!) if (!trace.orphans[i]) return i;
  return trace.length > 0 ? 0 : -1;
}

/** "edge: EntryPoint web uservice3.localhost" */
export function titleOf(trace: Trace): string {
  const root = trace.spans[rootOf(trace)];
  return root ? `${root.resource.service}: ${root.name}` : "a trace without spans";
}

/** The first row with the given span id, or -1. */
export function findSpan(trace: Trace, spanId: Hex): SpanIndex {
  return spanId === "" ? -1 : trace.spans.findIndex((s) => s.spanId === spanId);
}
