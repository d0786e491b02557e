// Numbers as text. Everything here is pure; only the two clock functions know the reader's time zone.

import type { Nanoseconds, UnixMilliseconds, UnixNanoseconds } from "./units";

const units: [Nanoseconds, string][] = [
  [1e9, "s"],
  [1e6, "ms"],
  [1e3, "µs"],
];

/** "1.62 s", "152 ms", "12.3 µs", "45 ns", "2m 05s": three significant digits. */
export function formatDuration(ns: Nanoseconds): string {
  if (ns < 0) return `-${formatDuration(-ns)}`;
  if (ns >= 59.995e9) return formatMinutes(ns);
  for (const [size, name] of units) if (ns >= size * 0.9995) return `${significant(ns / size)} ${name}`;
  return `${Math.round(ns)} ns`;
}

function significant(value: number): string {
  const digits = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  const text = value.toFixed(digits);
  return digits === 0 ? text : text.replace(/\.?0+$/, "");
}

function formatMinutes(ns: Nanoseconds): string {
  const seconds = Math.round(ns / 1e9);
  const two = (n: number): string => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours > 0 ? `${hours}h ${two(minutes)}m` : `${minutes}m ${two(seconds % 60)}s`;
}

/** A share of a whole: "12.5%", and "" where there is no whole. */
export function formatShare(part: Nanoseconds, whole: Nanoseconds): string {
  if (whole <= 0) return "";
  const percent = (100 * part) / whole;
  return `${percent >= 9.95 ? percent.toFixed(0) : percent.toFixed(1)}%`;
}

export function toMilliseconds(time: UnixNanoseconds): UnixMilliseconds {
  return Number(time / 1_000_000n);
}

/** "2026-11-24 19:05:09.123" in the reader's time zone. */
export function formatTime(ms: UnixMilliseconds): string {
  const d = new Date(ms);
  const two = (n: number): string => String(n).padStart(2, "0");
  const date = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
  const clock = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return `${date} ${clock}.${String(d.getMilliseconds()).padStart(3, "0")}`;
}

/** "12s ago", "5m ago", "3h ago", "2d ago". */
export function formatAge(ms: UnixMilliseconds, now: UnixMilliseconds): string {
  const seconds = Math.max(0, Math.round((now - ms) / 1000));
  if (seconds < 60) return `${seconds}s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h ago`;
  return `${Math.floor(seconds / 86_400)}d ago`;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}
