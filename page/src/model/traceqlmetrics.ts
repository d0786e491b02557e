// TraceQL metrics: which queries are some, and what their answers mean.

import { traceOf } from "./prometheus";
import type { Exemplar, Labels, Series } from "./series";
import type { Unit } from "./format";
import { parseDuration } from "./query";
import type { Seconds, Share } from "./units";

const functions = ["rate", "count_over_time", "min_over_time", "max_over_time", "avg_over_time", "sum_over_time", "quantile_over_time", "histogram_over_time", "compare"] as const;
export type MetricsFunction = (typeof functions)[number];

const stage = new RegExp(`\\|\\s*(${functions.join("|")})\\s*\\(`);

/** The metrics function of a query, or undefined where it is a search. Strings and comments are not looked into. */
export function metricsFunction(query: string): MetricsFunction | undefined {
  const bare = query.replace(/"(?:[^"\\]|\\.)*"|`[^`]*`|\/\/[^\n]*|\/\*[^]*?\*\//g, " ");
  return stage.exec(bare)?.[1] as MetricsFunction | undefined;
}

/** The unit of a query's values. Only spans' durations have a known one. */
export function metricsUnit(query: string): Unit {
  const kind = metricsFunction(query);
  if (kind === "rate") return "rate";
  if (kind === undefined || kind === "count_over_time" || kind === "histogram_over_time" || kind === "compare") return "number";
  return /_over_time\s*\(\s*(?:span:|trace:)?(?:duration|traceDuration)\b/.test(query) ? "seconds" : "number";
}

const roundSteps: Seconds[] = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];

/** The step of a range of so many seconds: round, for at most about so many points. Spans need no scrape to be seen. */
export function spanStep(width: Seconds, points: number): Seconds {
  return roundSteps.find((s) => s >= (0.95 * width) / points) ?? Math.ceil(width / points / 3600) * 3600;
}

export interface MetricsAnswer {
  query: string;
  how: "range" | "instant";
  series: Series[];
  exemplars: Exemplar[];
  /** The backend's message about a partial answer; "" for a whole one. */
  note: string;
}

interface ValueJson {
  stringValue?: string;
  intValue?: string | number;
  doubleValue?: number | string;
  boolValue?: boolean;
}

interface SeriesJson {
  labels?: LabelJson[];
  samples?: { timestampMs?: string; value?: number | string }[];
  exemplars?: { labels?: LabelJson[]; value?: number | string; timestampMs?: string }[] | null;
  value?: number | string;
}

type LabelJson = { key?: string; value?: ValueJson };
type AnswerJson = { series?: SeriesJson[] | null; status?: string; message?: string } | null;

/** Reads what GET /api/metrics/query_range answers. */
export function parseRange(json: unknown, query: string): MetricsAnswer {
  const answer = json as AnswerJson;
  const empty = emptyStep(query);
  const list = answer?.series ?? [];
  const series = list.map((s): Series => {
    const samples = s.samples ?? [];
    return { labels: readLabels(s.labels), times: samples.map((p) => Number(p.timestampMs ?? 0) / 1000), values: samples.map((p) => (p.value === undefined ? empty : number(p.value))) };
  });
  return { query, how: "range", series, exemplars: list.flatMap((s) => readExemplars(s)), note: noteOf(answer) };
}

/** Reads what GET /api/metrics/query answers: series of one value, at the time of the answer. */
export function parseInstant(json: unknown, query: string): MetricsAnswer {
  const answer = json as AnswerJson;
  const series = (answer?.series ?? []).map((s): Series => ({ labels: readLabels(s.labels), times: [0], values: [number(s.value ?? 0)] }));
  return { query, how: "instant", series, exemplars: [], note: noteOf(answer) };
}

function noteOf(answer: AnswerJson): string {
  return answer?.status === "PARTIAL" ? answer.message || "This is only a part of the answer" : "";
}

/**
 * The meaning of a step without a value. Zeros are not sent: a missing count is zero; the least, greatest,
 * mean or quantile of no spans is nothing, and a line that falls to 0 there would lie.
 */
function emptyStep(query: string): number | null {
  const kind = metricsFunction(query);
  return kind === "rate" || kind === "count_over_time" || kind === "sum_over_time" || kind === "histogram_over_time" ? 0 : null;
}

function number(value: number | string): number | null {
  const read = Number(value);
  return Number.isFinite(read) ? read : null;
}

function readLabels(labels: LabelJson[] = []): Labels {
  return Object.fromEntries(labels.map((l) => [l.key ?? "", readValue(l.value)]));
}

function readValue(value: ValueJson | undefined): string {
  return String(value?.stringValue ?? value?.intValue ?? value?.doubleValue ?? value?.boolValue ?? "");
}

/** An exemplar is drawn at its span's duration, if it has one: in a histogram its value is a count. */
function readExemplars(s: SeriesJson): Exemplar[] {
  return (s.exemplars ?? []).flatMap((e) => {
    const labels = readLabels(e.labels);
    const trace = traceOf(labels);
    const isBucket = s.labels?.some((l) => l.key === "__bucket") ?? false;
    const value = isBucket ? durationOf(labels["duration"]) : number(e.value ?? 0);
    return trace === undefined || value === null ? [] : [{ time: Number(e.timestampMs ?? 0) / 1000, value, trace, labels: { ...readLabels(s.labels), ...labels } }];
  });
}

function durationOf(text: string | undefined): number | null {
  try {
    return text === undefined ? null : Number(parseDuration(text)) / 1e9;
  } catch {
    return null;
  }
}

/** One attribute value, and how often it has it: spans that the filter selects against all others. */
export interface Comparison {
  attribute: string;
  value: string;
  baseline: Share;
  selection: Share;
  baselineCount: number;
  selectionCount: number;
}

export interface Compared {
  rows: Comparison[];
  baselineSpans: number;
  selectionSpans: number;
}

/**
 * Reads the answer of compare(): the values that tell the selection apart come first. Shares are of all spans on each
 * side; the greatest total of any attribute is their number, since every span has a name.
 */
export function compared(series: Series[]): Compared {
  const rows = new Map<string, Comparison>();
  const totals: Record<string, number> = {};
  for (const s of series) {
    const { __meta_type: type = "", __meta_error: _, ...labels } = s.labels;
    const [attribute, value] = Object.entries(labels)[0] ?? [];
    if (attribute === undefined || value === undefined) continue;
    const count = s.values.reduce<number>((sum, v) => sum + (v ?? 0), 0);
    if (type.endsWith("_total")) totals[type] = Math.max(totals[type] ?? 0, count);
    else add(rows, attribute, value, type, count);
  }
  const [baselineSpans, selectionSpans] = [totals["baseline_total"] ?? 0, totals["selection_total"] ?? 0];
  const made = [...rows.values()].map((r) => ({ ...r, baseline: share(r.baselineCount, baselineSpans), selection: share(r.selectionCount, selectionSpans) }));
  made.sort((a, b) => difference(b) - difference(a) || a.attribute.localeCompare(b.attribute) || a.value.localeCompare(b.value));
  return { rows: made.filter((r) => difference(r) > 0), baselineSpans, selectionSpans };
}

function add(rows: Map<string, Comparison>, attribute: string, value: string, type: string, count: number): void {
  const key = `${attribute}\0${value}`;
  const row = rows.get(key) ?? { attribute, value, baseline: 0, selection: 0, baselineCount: 0, selectionCount: 0 };
  if (type === "selection") row.selectionCount += count;
  else row.baselineCount += count;
  rows.set(key, row);
}

function share(part: number, whole: number): Share {
  return whole > 0 ? part / whole : 0;
}

function difference(row: Comparison): Share {
  return Math.abs(row.selection - row.baseline);
}
