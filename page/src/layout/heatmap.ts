// A heat map of durations: time to the right, buckets upwards, as many spans as the colour is strong.

import { formatIn, formatNumber, formatTime } from "../model/format";
import { align, type Exemplar, type Series } from "../model/series";
import type { CssPixels, Seconds, Share, UnixSeconds } from "../model/units";

export interface Heat {
  /** The end of each column's step. */
  times: UnixSeconds[];
  step: Seconds;
  /** Upper bounds of the rows, ascending; the last may be Infinity. */
  bounds: Seconds[];
  /** counts[row][column] */
  counts: number[][];
  /** The greatest count; 0 where there is nothing to draw. */
  max: number;
}

/** From a classic histogram of Prometheus: each le counts all that is not above it. */
export function fromCumulative(series: Series[], step: Seconds): Heat {
  return heat(series, "le", step, (rows) => rows.map((row, i) => (i === 0 ? row : row.map((v, j) => Math.max(0, v - rows[i - 1]![j]!)))));
}

/** From histogram_over_time(): each __bucket counts only its own values. */
export function fromBuckets(series: Series[], step: Seconds): Heat {
  return heat(series, "__bucket", step, (rows) => rows);
}

function heat(series: Series[], label: string, step: Seconds, separate: (rows: number[][]) => number[][]): Heat {
  const bounded = series.filter((s) => s.labels[label] !== undefined);
  const { times, columns } = align(bounded, step);
  const byBound = new Map<Seconds, number[]>();
  bounded.forEach((s, i) => {
    const bound = s.labels[label] === "+Inf" ? Infinity : Number(s.labels[label]);
    const row = columns[i]!.map((v) => v ?? 0);
    const known = byBound.get(bound);
    byBound.set(bound, known ? known.map((v, j) => v + row[j]!) : row);
  });
  const bounds = [...byBound.keys()].filter((b) => !Number.isNaN(b)).sort((a, b) => a - b);
  return trimmed({ times, step, bounds, counts: separate(bounds.map((b) => byBound.get(b)!)), max: 0 });
}

/** Without the empty rows at both ends: buckets that nothing falls into only flatten the picture. */
function trimmed(h: Heat): Heat {
  const full = h.counts.map((row) => row.some((v) => v > 0.001));
  const [first, last] = [full.indexOf(true), full.lastIndexOf(true)];
  if (first < 0) return { ...h, bounds: [], counts: [], max: 0 };
  const from = Math.max(0, first - 1);
  const counts = h.counts.slice(from, last + 1);
  return { ...h, bounds: h.bounds.slice(from, last + 1), counts, max: counts.reduce((max, row) => row.reduce((a, v) => Math.max(a, v), max), 0) };
}

export interface Box {
  left: CssPixels;
  top: CssPixels;
  width: CssPixels;
  height: CssPixels;
}

export interface Cell {
  row: number;
  column: number;
}

export interface Span {
  from: UnixSeconds;
  to: UnixSeconds;
}

/** The cell under a point, or undefined outside of the data. */
export function cellAt(h: Heat, box: Box, span: Span, x: CssPixels, y: CssPixels): Cell | undefined {
  const time = span.from + ((x - box.left) / box.width) * (span.to - span.from);
  const column = h.times.findIndex((t) => time > t - h.step && time <= t);
  const row = Math.floor(((box.top + box.height - y) / box.height) * h.bounds.length);
  return column < 0 || row < 0 || row >= h.bounds.length ? undefined : { row, column };
}

/** Where a cell stands, kept inside the box. */
export function cellBox(h: Heat, box: Box, span: Span, { row, column }: Cell): Box {
  const scale = box.width / (span.to - span.from);
  const left = Math.max(box.left, box.left + (h.times[column]! - h.step - span.from) * scale);
  const right = Math.min(box.left + box.width, box.left + (h.times[column]! - span.from) * scale);
  const height = box.height / h.bounds.length;
  return { left, top: box.top + box.height - (row + 1) * height, width: Math.max(0, right - left), height };
}

/** The titles of the columns of the table behind a heat map: "10 ms – 25 ms", the durations of a row. */
export function tableHeads(h: Heat): string[] {
  return ["From", ...h.bounds.map((bound, row) => `${formatIn("seconds", lowerBound(h, row))} – ${formatIn("seconds", bound)}`)];
}

/** A row of that table is a column of the picture: when its step began, and the spans in each range of durations. */
export function tableRow(h: Heat, column: number): string[] {
  return [formatTime((h.times[column]! - h.step) * 1000).slice(0, 19), ...h.counts.map((row) => formatNumber(Math.round(row[column] ?? 0)))];
}

/** How strong a count is, from 0 to 1. The root keeps single spans visible beside thousands. */
export function strength(count: number, max: number): Share {
  return count <= 0 || max <= 0 ? 0 : Math.sqrt(count / max);
}

/** Where an exemplar stands: in the row of its duration, as far up as the duration is between the row's bounds. */
export function exemplarAt(h: Heat, box: Box, span: Span, e: Exemplar): { x: CssPixels; y: CssPixels } | undefined {
  const row = h.bounds.findIndex((b) => e.value <= b);
  if (row < 0 || e.time < span.from || e.time > span.to) return undefined;
  const [low, high] = [lowerBound(h, row), h.bounds[row]!];
  const within = Number.isFinite(high) && low > 0 && e.value > low ? Math.log(e.value / low) / Math.log(high / low) : 0.5;
  const height = box.height / h.bounds.length;
  return { x: box.left + ((e.time - span.from) / (span.to - span.from)) * box.width, y: box.top + box.height - (row + Math.min(1, within)) * height };
}

/** The bound below a row; the lowest row reaches down to half of its own, for the eye. */
export function lowerBound(h: Heat, row: number): Seconds {
  return row > 0 ? h.bounds[row - 1]! : Number.isFinite(h.bounds[0]!) ? h.bounds[0]! / 2 : 0;
}
