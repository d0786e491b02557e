// Numbers as text. Everything here is pure; only the two clock functions know the time zone, which the reader chooses.

import type { Nanoseconds, PerSecond, Share, UnixMilliseconds, UnixNanoseconds } from "./units";

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

export type Zone = "local" | "utc";
let shownZone: Zone = "local";

export function zone(): Zone {
  return shownZone;
}

/** Callers that show times must redraw them afterwards. */
export function setZone(to: Zone): void {
  shownZone = to;
}

/** A date whose UTC fields are those of the chosen time zone. */
function inZone(ms: UnixMilliseconds): Date {
  const d = new Date(ms);
  return shownZone === "utc" ? d : new Date(ms - d.getTimezoneOffset() * 60_000);
}

/** "2026-11-24 19:05:09.123" in the chosen time zone. */
export function formatTime(ms: UnixMilliseconds): string {
  const d = inZone(ms);
  const two = (n: number): string => String(n).padStart(2, "0");
  const date = `${d.getUTCFullYear()}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())}`;
  const clock = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`;
  return `${date} ${clock}.${String(d.getUTCMilliseconds()).padStart(3, "0")}`;
}

/** "12s ago", "5m ago", "3h ago", "2d ago". */
export function formatAge(ms: UnixMilliseconds, now: UnixMilliseconds): string {
  const seconds = Math.max(0, Math.round((now - ms) / 1000));
  if (seconds < 60) return `${seconds}s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h ago`;
  return `${Math.floor(seconds / 86_400)}d ago`;
}

/** "12,345": a whole number in groups of three digits. Without Intl, whose first use takes a twentieth of a second. */
export function grouped(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${grouped(n)} ${n === 1 ? one : many}`;
}

/** The meaning of the numbers of a chart or table. Durations are in seconds there, as Prometheus and TraceQL metrics give them. */
export type Unit = "seconds" | "rate" | "share" | "bytes" | "number";

export function formatIn(unit: Unit, value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "–" : value > 0 ? "+Inf" : "−Inf";
  if (unit === "seconds") return value === 0 ? "0" : formatDuration(value * 1e9);
  if (unit === "rate") return formatRate(value);
  if (unit === "share") return formatPercent(value);
  return unit === "bytes" ? formatBytes(value) : formatNumber(value);
}

/** Labels of an axis, all in the unit of the greatest, so that they can be compared at a glance. */
export function formatAxis(unit: Unit, values: number[]): string[] {
  const top = Math.max(...values.map(Math.abs));
  if (unit === "rate") {
    const [size, name] = top >= 0.95 ? [1, "/s"] : top * 60 >= 0.95 ? [60, "/min"] : [3600, "/h"];
    return values.map((v) => (v === 0 ? "0" : `${formatNumber(v * size)}${name}`));
  }
  if (unit === "seconds" && top < 60) {
    const [size, name] = top >= 1 ? [1, "s"] : top >= 1e-3 ? [1e3, "ms"] : [1e6, "µs"];
    return values.map((v) => (v === 0 ? "0" : `${formatNumber(v * size)} ${name}`));
  }
  return values.map((v) => formatIn(unit, v));
}

/** "12.3/s", "4.2/min", "5/h": the unit in which the number can be counted along with. */
export function formatRate(rate: PerSecond): string {
  if (rate === 0) return "0";
  if (Math.abs(rate) >= 0.95) return `${formatNumber(rate)}/s`;
  return Math.abs(rate) * 60 >= 0.95 ? `${formatNumber(rate * 60)}/min` : `${formatNumber(rate * 3600)}/h`;
}

/** "0%", "0.04%", "3.2%", "12%", "100%": two significant digits, since a share is an estimate. */
export function formatPercent(share: Share): string {
  const percent = 100 * share;
  if (percent >= 99.5) return `${Math.round(percent)}%`;
  return percent !== 0 && percent < 0.0095 ? "<0.01%" : `${Number(percent.toPrecision(2))}%`;
}

const large: [number, string][] = [
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

/** Three significant digits; thousands as k, M, G, T; very small numbers with an exponent. */
export function formatNumber(value: number): string {
  const size = Math.abs(value);
  if (size === 0) return "0";
  for (const [unit, name] of large) if (size >= unit * 0.9995) return `${trimmedTo(value / unit)}${name}`;
  return size < 0.000_95 ? value.toExponential(1).replace(".0e", "e") : trimmedTo(value);
}

function trimmedTo(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function formatBytes(value: number): string {
  const names = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(names.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(1, Math.abs(value))) / 10)));
  return `${trimmedTo(value / 1024 ** power)} ${names[power]}`;
}

/** The clock as precise as ticks that far apart need it, in the chosen time zone. */
export function formatClock(ms: UnixMilliseconds, apart: number): string {
  const d = inZone(Math.round(ms));
  const two = (n: number): string => String(n).padStart(2, "0");
  if (apart >= 86_400_000) return `${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())}`;
  const minutes = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`;
  if (apart >= 60_000) return minutes;
  const step = Math.round(apart);
  const fraction = apart >= 1000 ? "" : (d.getUTCMilliseconds() / 1000).toFixed(step % 100 === 0 ? 1 : step % 10 === 0 ? 2 : 3).slice(1);
  return `${minutes}:${two(d.getUTCSeconds())}${fraction}`;
}
