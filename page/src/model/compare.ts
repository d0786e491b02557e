// Why traces take longer than others, as the backend answers it (docs/compare.md), and the answer in words.

import { grouped } from "./format";
import type { Hex, Nanoseconds } from "./units";

/** One side of the comparison. Times are means per trace but for the quantiles. */
export interface Side {
  /** "" where the side is one trace. */
  query: string;
  traces: number;
  found: number;
  partial: number;
  spans: number;
  mean: Nanoseconds;
  p50: Nanoseconds;
  p95: Nanoseconds;
  /** The first of them. */
  ids: Hex[];
}

/** The figures of one side of a row. calls and errors are per trace; length and own are those of all calls together. */
export interface Calls {
  calls: number;
  errors: number;
  length: Nanoseconds;
  own: Nanoseconds;
  /** Its begin after the begin of the whole trace. */
  start: Nanoseconds;
  trace: Hex;
  span: Hex;
}

/** Own and overlap of all rows, and of the others, add up to the difference. */
export interface Row {
  depth: number;
  service: string;
  name: string;
  /** Its name before, if it was another one. */
  was: string;
  own: Nanoseconds;
  overlap: Nanoseconds;
  inside: Nanoseconds;
  before: Calls | undefined;
  after: Calls | undefined;
}

export interface Part {
  row: number;
  service: string;
  name: string;
  calledBy: string;
  change: string;
  difference: Nanoseconds;
  beforeOwn: Nanoseconds;
  afterOwn: Nanoseconds;
  beforeCalls: number;
  afterCalls: number;
}

export interface Comparison {
  before: Side;
  after: Side;
  difference: Nanoseconds;
  /** The greatest first. */
  parts: Part[];
  /** In reading order; the first is the whole trace. */
  rows: Row[];
  /** Rows that the answer leaves out, and their part in the difference. */
  others: { rows: number; difference: Nanoseconds };
}

type Json = Record<string, unknown>;

export function parseComparison(json: unknown): Comparison {
  const j = object(json);
  const others = object(j["others"]);
  const made: Comparison = {
    before: side(j["before"]),
    after: side(j["after"]),
    difference: number(j["differenceNanos"]),
    parts: list(j["parts"]).map(part),
    rows: [],
    others: { rows: number(others["rows"]), difference: number(others["differenceNanos"]) },
  };
  for (const r of list(j["rows"])) made.rows.push(row(r, made.rows));
  return made;
}

function side(json: unknown): Side {
  const j = object(json);
  return {
    query: text(j["query"]), traces: number(j["traces"]), found: number(j["found"]), partial: number(j["partial"]), spans: number(j["spans"]),
    mean: number(j["meanNanos"]), p50: number(j["p50Nanos"]), p95: number(j["p95Nanos"]),
    ids: Array.isArray(j["traceIds"]) ? j["traceIds"].map(text) : [],
  };
}

function part(j: Json): Part {
  return {
    row: number(j["row"]), service: text(j["service"]), name: text(j["name"]), calledBy: text(j["calledBy"]), change: text(j["change"]),
    difference: number(j["differenceNanos"]), beforeOwn: number(j["beforeOwnNanos"]), afterOwn: number(j["afterOwnNanos"]),
    beforeCalls: number(j["beforeCalls"]), afterCalls: number(j["afterCalls"]),
  };
}

/** Callers come before what they call, so the rows above are there already. */
function row(j: Json, above: Row[]): Row {
  const parent = above[number(j["parent"])];
  const was = `${text(j["wasService"])} ${text(j["wasName"])}`.trim();
  return {
    depth: parent ? parent.depth + 1 : 0,
    service: text(j["service"]), name: text(j["name"]), was,
    own: number(j["ownDifferenceNanos"]), overlap: number(j["overlapDifferenceNanos"]), inside: number(j["insideDifferenceNanos"]),
    before: calls(j["before"], parent?.before?.start ?? parent?.after?.start ?? 0),
    after: calls(j["after"], parent?.after?.start ?? parent?.before?.start ?? 0),
  };
}

function calls(json: unknown, from: Nanoseconds): Calls | undefined {
  if (json === undefined) return undefined;
  const j = object(json);
  return {
    calls: number(j["calls"]), errors: number(j["errors"]), length: number(j["lengthNanos"]), own: number(j["ownNanos"]),
    start: from + number(j["offsetNanos"]), trace: text(j["traceId"]), span: text(j["spanId"]),
  };
}

function object(json: unknown): Json {
  return typeof json === "object" && json !== null ? (json as Json) : {};
}

function list(json: unknown): Json[] {
  return Array.isArray(json) ? json.map(object) : [];
}

function number(json: unknown): number {
  return typeof json === "number" ? json : 0;
}

function text(json: unknown): string {
  return typeof json === "string" ? json : "";
}

/** Parts of a difference below this share of the greater whole are noise to a reader. */
const noise = 1e-3;

/** The difference in words: "1.2 s longer", "as long as before". */
export function verdict(c: Comparison, format: (ns: Nanoseconds) => string): string {
  const size = Math.abs(c.difference);
  if (size <= noise * Math.max(c.before.mean, c.after.mean)) return c.parts.length === 0 ? "exactly as long" : "as long";
  return `${format(size)} ${c.difference > 0 ? "longer" : "shorter"}`;
}

/** "5.2 times as long", "by 12 %"; "" where that says nothing. */
export function ratio(before: Nanoseconds, after: Nanoseconds): string {
  if (before <= 0 || after <= 0) return "";
  const r = after / before;
  if (r >= 2) return `${r < 10 ? r.toFixed(1).replace(/\.0$/, "") : grouped(Math.round(r))} times as long`;
  const percent = Math.round(100 * (r - 1));
  if (percent === 0) return "";
  return `by ${Math.abs(percent)} %`;
}

/** With its sign, as differences are shown: "+1.2 s", "−30 ms". */
export function signed(ns: Nanoseconds, format: (ns: Nanoseconds) => string): string {
  if (Math.abs(ns) < 1) return "0";
  return `${ns > 0 ? "+" : "−"}${format(Math.abs(ns))}`;
}

export interface Listed {
  shown: Part[];
  /** All that is not shown, so that the list still adds up. */
  rest: { parts: number; difference: Nanoseconds };
}

/** How small a difference is noise beside the greatest part. */
export function noiseOf(c: Comparison): Nanoseconds {
  return 2 * noise * Math.abs(c.parts[0]?.difference ?? 0);
}

/** The greatest parts that are more than noise, and the sum of all others. */
export function greatest(c: Comparison, most: number): Listed {
  const loud = c.parts.filter((p) => Math.abs(p.difference) > noiseOf(c));
  const shown = loud.slice(0, loud.length > most + 1 ? most : undefined);
  const sum = shown.reduce((a, p) => a + p.difference, 0);
  const differing = c.rows.reduce((n, r) => n + (r.own !== 0 ? 1 : 0) + (r.overlap !== 0 ? 1 : 0), 0) + c.others.rows;
  return { shown, rest: { parts: Math.max(0, differing - shown.length), difference: c.difference - sum } };
}
