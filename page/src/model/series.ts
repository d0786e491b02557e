// Numbers over time, whoever measured them: what charts, legends and tables are made from.

import type { Hex, Seconds, UnixSeconds } from "./units";

export type Labels = Record<string, string>;

/** One line. times ascend; a value is null where the measurement has none. */
export interface Series {
  labels: Labels;
  times: UnixSeconds[];
  values: (number | null)[];
}

/** One measurement kept as an example, with the trace that it was made in. */
export interface Exemplar {
  time: UnixSeconds;
  value: number;
  /** Hex as the source wrote it, which may be without leading zeros. */
  trace: Hex;
  labels: Labels;
}

/** Series on common times: columns[i][j] is the value of series i at times[j]. */
export interface Aligned {
  times: UnixSeconds[];
  columns: (number | null)[][];
}

/** More points than this are more than any screen has pixels for, and more than Prometheus answers. */
const mostSteps = 11_000;

/**
 * Puts series on one evenly spaced grid, so that a step without a value is a gap in the line instead of being bridged.
 * The step is the least distance between two neighbours unless it is given.
 */
export function align(series: Series[], step: Seconds = leastStep(series)): Aligned {
  let first = Infinity;
  let last = -Infinity;
  for (const { times } of series) {
    if (times.length === 0) continue;
    first = Math.min(first, times[0]!);
    last = Math.max(last, times.at(-1)!);
  }
  if (first > last) return { times: [], columns: series.map(() => []) };
  const length = step > 0 ? Math.min(mostSteps, Math.round((last - first) / step) + 1) : 1;
  const times = Array.from({ length }, (_, i) => first + i * step);
  return { times, columns: series.map((s) => onGrid(s, first, step, length)) };
}

function onGrid(s: Series, first: UnixSeconds, step: Seconds, length: number): (number | null)[] {
  const column = new Array<number | null>(length).fill(null);
  s.times.forEach((time, i) => {
    const at = step > 0 ? Math.round((time - first) / step) : 0;
    const value = s.values[i] ?? null;
    if (at < length) column[at] = value !== null && Number.isFinite(value) ? value : null;
  });
  return column;
}

/** The least distance between two neighbours, 0 where there are none. */
export function leastStep(series: Series[]): Seconds {
  let least = Infinity;
  for (const { times } of series) {
    for (let i = 1; i < times.length; i++) least = Math.min(least, times[i]! - times[i - 1]!);
  }
  return Number.isFinite(least) ? least : 0;
}

export interface Summary {
  last: number | undefined;
  min: number | undefined;
  max: number | undefined;
}

export function summarise(values: (number | null)[]): Summary {
  const summary: Summary = { last: undefined, min: undefined, max: undefined };
  for (const value of values) {
    if (value === null || !Number.isFinite(value)) continue;
    summary.last = value;
    summary.min = Math.min(summary.min ?? value, value);
    summary.max = Math.max(summary.max ?? value, value);
  }
  return summary;
}

/**
 * The series with the greatest values, greatest first, and how many are left out. Where all fit they stay in the order
 * of the answer, so that a line keeps its place and colour while its values change.
 */
export function largest(series: Series[], count: number): { shown: Series[]; rest: number } {
  if (series.length <= count) return { shown: series, rest: 0 };
  const ranked = series.map((s) => ({ s, max: summarise(s.values).max ?? -Infinity }));
  ranked.sort((a, b) => b.max - a.max || seriesName(a.s.labels).localeCompare(seriesName(b.s.labels)));
  return { shown: ranked.slice(0, count).map((r) => r.s), rest: series.length - count };
}

/** How Prometheus writes a series: up{job="etude"}. */
export function seriesName(labels: Labels): string {
  const { __name__: name = "", ...others } = labels;
  const pairs = Object.entries(others).map(([k, v]) => `${k}=${JSON.stringify(v)}`);
  return pairs.length === 0 && name !== "" ? name : `${name}{${pairs.join(", ")}}`;
}

/** The short name of a series in a legend: its values alone where each series has the same labels. */
export function legendNames(series: Series[]): string[] {
  const keys = new Set(series.flatMap((s) => Object.keys(s.labels)));
  const varying = [...keys].filter((k) => new Set(series.map((s) => s.labels[k])).size > 1);
  return series.map(({ labels }) => {
    if (varying.length > 0) return varying.map((k) => valueName(k, labels[k])).filter((v) => v !== "").join(" · ") || seriesName(labels);
    const values = Object.entries(labels);
    return values.length === 1 ? values[0]![1] || seriesName(labels) : seriesName(labels);
  });
}

/** TraceQL's label p is the quantile: 0.95 is read as p95. */
function valueName(key: string, value = ""): string {
  return key === "p" && value !== "" && Number.isFinite(Number(value)) ? `p${Number((100 * Number(value)).toFixed(3))}` : value;
}

const serviceLabels = ["service", "resource.service.name", "service.name", "service_name", "rootServiceName", "server"];

/** The service that a series belongs to, for its colour. */
export function serviceOf(labels: Labels): string | undefined {
  const key = serviceLabels.find((k) => labels[k] !== undefined && labels[k] !== "");
  return key && labels[key];
}

/**
 * At most count exemplars, spread over the whole range: time is cut into slices and each keeps its
 * greatest, since the slowest request is the one worth opening.
 */
export function thin(exemplars: Exemplar[], count: number): Exemplar[] {
  if (exemplars.length <= count) return exemplars;
  const times = exemplars.map((e) => e.time);
  const from = times.reduce((a, b) => Math.min(a, b), Infinity);
  const width = Math.max(1e-9, times.reduce((a, b) => Math.max(a, b), -Infinity) - from);
  const cells = new Map<number, Exemplar>();
  for (const e of exemplars) {
    const column = Math.min(count - 1, Math.floor(((e.time - from) / width) * count));
    const kept = cells.get(column);
    if (!kept || e.value > kept.value) cells.set(column, e);
  }
  return [...cells.values()].sort((a, b) => a.time - b.time);
}
