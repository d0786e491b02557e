// Time ranges as links carry them: relative to now ("now-1h", "now") or milliseconds since 1970.

import type { Milliseconds, UnixMilliseconds, UnixSeconds } from "./units";

export interface Range {
  from: string;
  to: string;
}

export const defaultRange: Range = { from: "now-1h", to: "now" };

export const presets: [string, string][] = [
  ["now-5m", "Last 5 minutes"],
  ["now-15m", "Last 15 minutes"],
  ["now-1h", "Last hour"],
  ["now-6h", "Last 6 hours"],
  ["now-24h", "Last 24 hours"],
  ["now-2d", "Last 2 days"],
  ["now-7d", "Last 7 days"],
];

const unitSizes: Record<string, Milliseconds> = { s: 1e3, m: 60e3, h: 3600e3, d: 86_400e3, w: 604_800e3 };

/** The point in time that a bound names, or undefined where it is not one. Accepts ISO dates as well. */
export function resolveTime(bound: string, now: UnixMilliseconds): UnixMilliseconds | undefined {
  if (bound === "now") return now;
  const relative = /^now-(\d+)([smhdw])$/.exec(bound);
  if (relative) return now - Number(relative[1]) * unitSizes[relative[2]!]!;
  if (/^\d{10,16}$/.test(bound)) return Number(bound);
  const date = /^\d{4}-\d\d-\d\d/.test(bound) ? Date.parse(bound) : NaN;
  return Number.isNaN(date) ? undefined : date;
}

/** Whole seconds for the search API, widened outwards; bounds that cannot be read are those of the default range. */
export function resolveRange(range: Range, now: UnixMilliseconds): { start: UnixSeconds; end: UnixSeconds } {
  const from = resolveTime(range.from, now) ?? resolveTime(defaultRange.from, now)!;
  const to = resolveTime(range.to, now) ?? now;
  const start = Math.floor(Math.min(from, to) / 1000);
  return { start, end: Math.max(Math.ceil(Math.max(from, to) / 1000), start + 1) };
}

/** The range of the same length that ends where this one begins. */
export function rangeBefore(range: Range, now: UnixMilliseconds): Range {
  const relative = /^now-(\d+)([smhdw])$/.exec(range.from);
  if (relative && range.to === "now") return { from: `now-${2 * Number(relative[1])}${relative[2]}`, to: range.from };
  const { start, end } = resolveRange(range, now);
  return { from: String((2 * start - end) * 1000), to: String(start * 1000) };
}

export const refreshes: [string, string, Milliseconds][] = [
  ["", "Off", 0],
  ["2s", "Live", 2_000],
  ["5s", "5 s", 5_000],
  ["15s", "15 s", 15_000],
  ["1m", "1 min", 60_000],
];

/** How often to ask again; 0 for never. */
export function refreshInterval(refresh: string): Milliseconds {
  return refreshes.find(([key]) => key === refresh)?.[2] ?? 0;
}
