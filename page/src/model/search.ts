// The answer of GET /api/search, in the columns of the results table.

import { formatDuration } from "./format";
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

type TraceJson = NonNullable<SearchJson["traces"]>[number];

/** Reads a search answer, newest trace first. */
export function parseResults(json: unknown): Result[] {
  return sortResults(((json as SearchJson | null)?.traces ?? []).map(readResult), "start", true);
}

/** How far a search has come: parts of the store that it has read or ruled out, and what it looked at. */
export interface SearchProgress {
  completedJobs: number;
  totalJobs: number;
  inspectedTraces: number;
  inspectedSpans: number;
  /** No trace that starts later can be added. 0n while that is not known. */
  reached: UnixNanoseconds;
}

/** A line of GET /api/etude/search, docs/search-stream.md. */
interface LineJson {
  trace?: TraceJson;
  progress?: { completedJobs?: number; totalJobs?: number; inspectedTraces?: number; inspectedSpans?: number; reachedUnixNano?: string };
  end?: object;
  error?: string;
}

/**
 * A search answer on its way. Results are in the order in which they came, the newest first. Whole lines of a chunk are
 * parsed at once, which is several times as fast as one by one.
 */
export class SearchLines {
  readonly results: Result[] = [];
  progress: SearchProgress | undefined;
  /** Whether the last line has come: without it the answer was cut off. */
  ended = false;

  #rest = "";

  /** Adds text, which may end within a line. It throws what the backend says of a search that failed on the way. */
  add(text: string): void {
    const cut = text.lastIndexOf("\n");
    if (cut < 0) {
      this.#rest += text;
      return;
    }
    const lines = (this.#rest + text.slice(0, cut)).split("\n").filter((line) => line !== "");
    this.#rest = text.slice(cut + 1);
    for (const line of JSON.parse(`[${lines.join(",")}]`) as LineJson[]) this.#read(line);
  }

  #read(line: LineJson): void {
    if (line.trace) this.results.push(readResult(line.trace));
    else if (line.progress) this.progress = readProgress(line.progress);
    else if (line.error !== undefined) throw new Error(line.error);
    else if (line.end) this.ended = true;
  }
}

function readProgress(p: NonNullable<LineJson["progress"]>): SearchProgress {
  return {
    completedJobs: p.completedJobs ?? 0,
    totalJobs: p.totalJobs ?? 0,
    inspectedTraces: p.inspectedTraces ?? 0,
    inspectedSpans: p.inspectedSpans ?? 0,
    reached: whole(p.reachedUnixNano),
  };
}

function whole(text: string | undefined): bigint {
  return /^\d+$/.test(text ?? "") ? BigInt(text!) : 0n;
}

function readResult(t: TraceJson): Result {
  const stats = Object.values(t.serviceStats ?? {});
  const sets = t.spanSets ?? (t.spanSet ? [t.spanSet] : []);
  let spans: MatchedSpan[] | undefined;
  return {
    id: (t.traceID ?? "").toLowerCase(),
    rootService: t.rootServiceName ?? "",
    rootName: t.rootTraceName ?? "",
    start: whole(t.startTimeUnixNano),
    duration: t.durationMs ?? 0,
    spanCount: stats.reduce((sum, s) => sum + (s.spanCount ?? 0), 0),
    errorCount: stats.reduce((sum, s) => sum + (s.errorCount ?? 0), 0),
    get spans() {
      return (spans ??= sets.flatMap((set) => (set.spans ?? []).map((s) => matchedSpan(s, set.attributes))));
    },
    spanTotal: sets.reduce((sum, set) => sum + (set.spans?.length ?? 0), 0),
  };
}

function matchedSpan(json: SpanJson, ofSet: unknown): MatchedSpan {
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

/** "1.5 s", and "<1 ms" for a trace whose milliseconds the backend rounded to none. */
export function durationOf(result: Result): string {
  return result.duration > 0 ? formatDuration(result.duration * 1e6) : "<1 ms";
}

/** The id in the full 32 digits, as exporters print it. */
export function fullId(id: Hex): Hex {
  return parseId(id.padStart(32, "0"), 16);
}
