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

/** Places the results in a box: time to the right, duration upwards from 0. */
export function scatter(results: Result[], box: Box): Scatter {
  const times = results.map((r) => Number(r.start / 1_000_000n));
  const from = times.reduce((a, b) => Math.min(a, b), Infinity);
  const to = times.reduce((a, b) => Math.max(a, b), -Infinity);
  const max = roundUp(results.reduce((a, r) => Math.max(a, r.duration), 0));
  const dots = results.map((r, index) => ({
    x: box.left + (to > from ? (times[index]! - from) / (to - from) : 0.5) * box.width,
    y: box.top + (1 - r.duration / max) * box.height,
    index,
  }));
  return { dots, max, from, to };
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
