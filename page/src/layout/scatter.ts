// Duration over time of the traces that a search found.

import type { Result } from "../model/search";
import type { CssPixels, Milliseconds, UnixMilliseconds } from "../model/units";

export interface Dot {
  x: CssPixels;
  y: CssPixels;
  index: number;
}

export interface Scatter {
  dots: Dot[];
  box: Box;
  /** The bottom of the vertical axis: 0, or with a logarithmic axis the power of ten below the least duration. */
  min: Milliseconds;
  log: boolean;
  /** The top of the vertical axis. */
  max: Milliseconds;
  from: UnixMilliseconds;
  to: UnixMilliseconds;
}

export interface Box {
  left: CssPixels;
  top: CssPixels;
  width: CssPixels;
  height: CssPixels;
}

/** Places the results in a box: time to the right, duration upwards, from 0 or by its logarithm. */
export function scatter(results: Result[], box: Box, log = false): Scatter {
  const times = results.map((r) => Number(r.start / 1_000_000n));
  const from = times.reduce((a, b) => Math.min(a, b), Infinity);
  const to = times.reduce((a, b) => Math.max(a, b), -Infinity);
  const max = roundUp(results.reduce((a, r) => Math.max(a, r.duration), 0));
  const least = results.reduce((a, r) => Math.min(a, Math.max(0.5, r.duration)), Infinity);
  const min = log && Number.isFinite(least) ? 10 ** Math.floor(Math.log10(least)) : 0;
  const share = (d: Milliseconds): number => (log ? Math.log(Math.max(min, d) / min) / Math.log(Math.max(max, 10 * min) / min) : d / max);
  const dots = results.map((r, index) => ({
    x: box.left + (to > from ? (times[index]! - from) / (to - from) : 0.5) * box.width,
    y: box.top + (1 - share(r.duration)) * box.height,
    index,
  }));
  return { dots, box, min, log, max: log ? Math.max(max, 10 * min) : max, from, to };
}

/** Whether durations differ so much that a logarithm shows more of them. */
export function spreadsWide(results: Result[]): boolean {
  const sorted = results.map((r) => Math.max(0.5, r.duration)).sort((a, b) => a - b);
  return sorted.length > 2 && sorted.at(-1)! / sorted[Math.floor(sorted.length / 2)]! > 20;
}

/** The times and durations inside of a rectangle that was dragged over the plot. */
export function brushed(plot: Scatter, x1: CssPixels, y1: CssPixels, x2: CssPixels, y2: CssPixels): { from: UnixMilliseconds; to: UnixMilliseconds; min: Milliseconds; max: Milliseconds } {
  const { box } = plot;
  const clamp = (v: number): number => Math.min(1, Math.max(0, v));
  const time = (x: CssPixels): UnixMilliseconds => plot.from + clamp((x - box.left) / box.width) * (plot.to - plot.from);
  const duration = (y: CssPixels): Milliseconds => {
    const share = clamp((box.top + box.height - y) / box.height);
    return plot.log ? plot.min * (plot.max / plot.min) ** share : share * plot.max;
  };
  return { from: Math.floor(time(Math.min(x1, x2))), to: Math.ceil(time(Math.max(x1, x2))), min: Math.floor(duration(Math.max(y1, y2))), max: Math.ceil(duration(Math.min(y1, y2))) };
}

function roundUp(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((m) => m * power).find((m) => m >= value) ?? 10 * power;
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
