// The answer of GET /api/search, in the columns of the results table.

import { parseId } from "./ids";
import type { Hex, Milliseconds, UnixNanoseconds } from "./units";

export interface Result {
  /** As the backend writes it: hex without leading zeros. */
  id: Hex;
  rootService: string;
  rootName: string;
  start: UnixNanoseconds;
  duration: Milliseconds;
  spanCount: number;
  errorCount: number;
}

export type SortKey = "id" | "name" | "start" | "duration";

interface SearchJson {
  traces?: {
    traceID?: string;
    rootServiceName?: string;
    rootTraceName?: string;
    startTimeUnixNano?: string;
    durationMs?: number;
    serviceStats?: Record<string, { spanCount?: number; errorCount?: number }>;
  }[];
}

/** Reads a search answer, newest trace first. */
export function parseResults(json: unknown): Result[] {
  const traces = (json as SearchJson | null)?.traces ?? [];
  const results = traces.map((t): Result => {
    const stats = Object.values(t.serviceStats ?? {});
    return {
      id: (t.traceID ?? "").toLowerCase(),
      rootService: t.rootServiceName ?? "",
      rootName: t.rootTraceName ?? "",
      start: /^\d+$/.test(t.startTimeUnixNano ?? "") ? BigInt(t.startTimeUnixNano!) : 0n,
      duration: t.durationMs ?? 0,
      spanCount: stats.reduce((sum, s) => sum + (s.spanCount ?? 0), 0),
      errorCount: stats.reduce((sum, s) => sum + (s.errorCount ?? 0), 0),
    };
  });
  return sortResults(results, "start", true);
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
