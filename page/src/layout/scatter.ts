// Duration over time of the traces that a search found: one mark a trace.

import type { Result } from "../model/search";
import type { CssPixels, Hex, Milliseconds, Seconds, UnixMilliseconds, UnixSeconds } from "../model/units";

export interface Mark {
  /** Into the results. */
  index: number;
  /** The id of the trace: marks change while results arrive, and it does not. */
  id: Hex;
  time: UnixSeconds;
  /** At least half a millisecond: results count in whole ones, and a logarithm has no place for 0. */
  duration: Seconds;
  service: string;
  failed: boolean;
}

/** The marks of results in order of time. */
export function marksOf(results: Result[]): Mark[] {
  const made = results.map((r, index) => ({ index, id: r.id, time: Number(r.start / 1000n) / 1e6, duration: Math.max(0.5, r.duration) / 1000, service: r.rootService, failed: r.errorCount > 0 }));
  return made.sort((a, b) => a.time - b.time || a.index - b.index);
}

/** Whether durations differ so much that a logarithm shows more of them. */
export function spreadsWide(marks: Mark[]): boolean {
  const sorted = Float64Array.from(marks, (m) => m.duration).sort();
  return sorted.length > 2 && sorted.at(-1)! / sorted[Math.floor(sorted.length / 2)]! > 20;
}

export interface Region {
  from: UnixSeconds;
  to: UnixSeconds;
  min: Seconds;
  max: Seconds;
}

/** What the axes show: all marks with some room around them, from 0 or between two lines of a logarithmic axis. */
export function extent(marks: Mark[], log: boolean): Region {
  const [first, last] = [marks[0]?.time ?? 0, marks.at(-1)?.time ?? 0];
  const room = Math.max(0.05, 0.02 * (last - first));
  const max = marks.reduce((a, m) => Math.max(a, m.duration), 0.0005);
  const min = marks.reduce((a, m) => Math.min(a, m.duration), max);
  const times = { from: first - room, to: last + room };
  if (!log) return { ...times, min: 0, max: 1.12 * max };
  const lines = logLines(min / 2, max * 5);
  return { ...times, min: lines.findLast((v) => v <= min)!, max: lines.find((v) => v >= Math.max(max, min * 2))! };
}

/** 1, 2 and 5 times the powers of ten, from one that is not above min to one that is not below max. */
function logLines(min: Seconds, max: Seconds): Seconds[] {
  const made: Seconds[] = [];
  for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power++) for (const step of [1, 2, 5]) made.push(Number(`${step}e${power}`));
  return made;
}

/** Where a logarithmic axis has its labels: at 1, 2 and 5 times the powers of ten, or at as many powers as there is room for. */
export function logTicks({ min, max }: Region, most: number): Seconds[] {
  const lines = logLines(min, max).filter((v) => v >= min && v <= max);
  if (lines.length <= most) return lines;
  const powers = lines.filter((v) => v.toExponential().startsWith("1e"));
  return powers.filter((_, i) => i % Math.ceil(powers.length / most) === 0);
}

/** A region as a search takes it: whole milliseconds, rounded so that nothing in it is lost. */
export function asConditions(r: Region): { from: UnixMilliseconds; to: UnixMilliseconds; min: Milliseconds; max: Milliseconds } {
  // A float of seconds since 1970 is exact to a quarter of a microsecond.
  const [down, up] = [(s: Seconds) => Math.floor(s * 1000 + 1e-3), (s: Seconds) => Math.ceil(s * 1000 - 1e-3)];
  return { from: down(r.from), to: up(r.to), min: Math.max(0, down(r.min)), max: up(r.max) };
}

/** The least region with both marks inside. A result's duration is rounded down to a millisecond, so the region is one higher. */
export function around(a: Mark, b: Mark): Region {
  return { from: Math.min(a.time, b.time), to: Math.max(a.time, b.time), min: Math.min(a.duration, b.duration), max: Math.max(a.duration, b.duration) + 0.001 };
}

/** Where a key leads from a mark: left and right by time, up and down by duration. undefined for other keys. */
export function neighbour(marks: Mark[], at: number, key: string): number | undefined {
  const last = marks.length - 1;
  if (key === "Home") return 0;
  if (key === "End") return last;
  if (key === "ArrowLeft") return Math.max(0, at - 1);
  if (key === "ArrowRight") return Math.min(last, at + 1);
  if (key !== "ArrowUp" && key !== "ArrowDown") return undefined;
  const order = marks.map((_, i) => i).sort((a, b) => marks[a]!.duration - marks[b]!.duration || a - b);
  return order[Math.min(last, Math.max(0, order.indexOf(at) + (key === "ArrowUp" ? 1 : -1)))];
}

export interface Dot {
  x: CssPixels;
  y: CssPixels;
  index: number;
}

/** The nearest dot within reach, or undefined. */
export function dotAt(dots: Dot[], x: CssPixels, y: CssPixels, reach: CssPixels = 14): Dot | undefined {
  let best: Dot | undefined;
  let least = reach * reach;
  for (const dot of dots) {
    const distance = (dot.x - x) ** 2 + (dot.y - y) ** 2;
    if (distance <= least) [best, least] = [dot, distance];
  }
  return best;
}
