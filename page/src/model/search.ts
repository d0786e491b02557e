// The answer of GET /api/search, in the columns of the results table.

import { parseId } from "./ids";
import { readAttributes } from "./otlp";
import type { Hex, Milliseconds, Nanoseconds, UnixNanoseconds } from "./units";
import type { Attribute } from "./value";

export interface Result {
  /** As the backend writes it: hex without leading zeros. */
  id: Hex;
  rootService: string;
  rootName: string;
  start: UnixNanoseconds;
  duration: Milliseconds;
  spanCount: number;
  errorCount: number;
  /** The spans that matched, as many as the backend returned; read when they are looked at. */
  readonly spans: MatchedSpan[];
  /** How many these are. */
  spanTotal: number;
}

export interface MatchedSpan {
  id: Hex;
  start: UnixNanoseconds;
  duration: Nanoseconds;
  /** The attributes that the query selected or grouped by, and the names that the backend adds. */
  attributes: Attribute[];
}

export type SortKey = "id" | "name" | "start" | "duration";

interface SpanJson {
  spanID?: string;
  name?: string;
  startTimeUnixNano?: string;
  durationNanos?: string;
  attributes?: unknown;
}

interface SearchJson {
  traces?: {
    traceID?: string;
    rootServiceName?: string;
    rootTraceName?: string;
    startTimeUnixNano?: string;
    durationMs?: number;
    serviceStats?: Record<string, { spanCount?: number; errorCount?: number }>;
    spanSets?: { spans?: SpanJson[]; attributes?: unknown }[];
    spanSet?: { spans?: SpanJson[]; attributes?: unknown };
  }[];
}

/** Reads a search answer, newest trace first. */
export function parseResults(json: unknown): Result[] {
  const traces = (json as SearchJson | null)?.traces ?? [];
  const results = traces.map((t): Result => {
    const stats = Object.values(t.serviceStats ?? {});
    const sets = t.spanSets ?? (t.spanSet ? [t.spanSet] : []);
    let spans: MatchedSpan[] | undefined;
    return {
      id: (t.traceID ?? "").toLowerCase(),
      rootService: t.rootServiceName ?? "",
      rootName: t.rootTraceName ?? "",
      start: /^\d+$/.test(t.startTimeUnixNano ?? "") ? BigInt(t.startTimeUnixNano!) : 0n,
      duration: t.durationMs ?? 0,
      spanCount: stats.reduce((sum, s) => sum + (s.spanCount ?? 0), 0),
      errorCount: stats.reduce((sum, s) => sum + (s.errorCount ?? 0), 0),
      get spans() {
        return (spans ??= sets.flatMap((set) => (set.spans ?? []).map((s) => matchedSpan(s, set.attributes))));
      },
      spanTotal: sets.reduce((sum, set) => sum + (set.spans?.length ?? 0), 0),
    };
  });
  return sortResults(results, "start", true);
}

function matchedSpan(json: SpanJson, ofSet: unknown): MatchedSpan {
  const whole = (text: string | undefined): bigint => (/^\d+$/.test(text ?? "") ? BigInt(text!) : 0n);
  const name = json.name ? [{ key: "name", value: json.name }] : [];
  return { id: (json.spanID ?? "").toLowerCase(), start: whole(json.startTimeUnixNano), duration: Number(whole(json.durationNanos)), attributes: [...name, ...readAttributes(json.attributes), ...readAttributes(ofSet)] };
}

/** The names of attributes that any matched span has, in the order in which they first occur. */
export function selectedKeys(results: Result[]): string[] {
  const keys = new Set<string>();
  for (const r of results) for (const s of r.spans) for (const a of s.attributes) keys.add(a.key);
  return [...keys];
}

/** A sorted copy; ties are broken by newest, then by id, so that the order is stable from run to run. */
export function sortResults(results: Result[], key: SortKey, descending: boolean): Result[] {
  const sign = descending ? -1 : 1;
  return [...results].sort((a, b) => sign * compareBy(key, a, b) || -compareBy("start", a, b) || compareBy("id", a, b));
}

function compareBy(key: SortKey, a: Result, b: Result): number {
  if (key === "start") return a.start < b.start ? -1 : a.start > b.start ? 1 : 0;
  if (key === "duration") return a.duration - b.duration;
  if (key === "id") return a.id.localeCompare(b.id);
  return nameOf(a).localeCompare(nameOf(b));
}

/** "edge EntryPoint web uservice3.localhost" */
export function nameOf(result: Result): string {
  return `${result.rootService} ${result.rootName}`.trim() || "(no root span)";
}

/** The id in the full 32 digits, as exporters print it. */
export function fullId(id: Hex): Hex {
  return parseId(id.padStart(32, "0"), 16);
}
