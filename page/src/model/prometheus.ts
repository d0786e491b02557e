// The answers of Prometheus' HTTP API v1, as far as the page reads them. Numbers come as text, since JSON has no NaN.

import type { Exemplar, Labels, Series } from "./series";
import type { UnixSeconds } from "./units";

export interface Sample {
  labels: Labels;
  time: UnixSeconds;
  value: number;
}

/** The value of an expression. Histograms (native ones) are shown by their sum and count only. */
export type Answer =
  | { type: "vector"; samples: Sample[] }
  | { type: "matrix"; series: Series[] }
  | { type: "scalar"; time: UnixSeconds; value: number }
  | { type: "string"; time: UnixSeconds; value: string };

type Point = [number, string];

interface ItemJson {
  metric?: Labels;
  value?: Point;
  values?: Point[];
  histogram?: [number, { count?: string; sum?: string }];
  histograms?: [number, { count?: string; sum?: string }][];
}

/** Go's spelling of a number: 1e+06, NaN, +Inf. */
export function parseNumber(text: string): number {
  if (text === "+Inf" || text === "Inf") return Infinity;
  return text === "-Inf" ? -Infinity : Number(text);
}

/** Reads the data of /api/v1/query and query_range. Throws an Error on a result type that it does not know. */
export function parseAnswer(data: unknown): Answer {
  const { resultType, result } = (data ?? {}) as { resultType?: string; result?: unknown };
  if (resultType === "vector") return { type: "vector", samples: ((result ?? []) as ItemJson[]).flatMap(parseSample) };
  if (resultType === "matrix") return { type: "matrix", series: ((result ?? []) as ItemJson[]).map(parseSeries) };
  const [time = 0, value = ""] = (result ?? []) as Partial<Point>;
  if (resultType === "scalar") return { type: "scalar", time, value: parseNumber(value) };
  if (resultType === "string") return { type: "string", time, value };
  throw new Error(`Prometheus answered a result of type ${JSON.stringify(resultType)}, which this page does not know`);
}

function parseSample(item: ItemJson): Sample[] {
  const [time, text] = item.value ?? [item.histogram?.[0] ?? 0, item.histogram?.[1].count ?? ""];
  return text === "" ? [] : [{ labels: item.metric ?? {}, time, value: parseNumber(text) }];
}

function parseSeries(item: ItemJson): Series {
  const points = item.values ?? (item.histograms ?? []).map(([t, h]): Point => [t, h.count ?? "NaN"]);
  return {
    labels: item.metric ?? {},
    times: points.map(([time]) => time),
    values: points.map(([, text]) => {
      const value = parseNumber(text);
      return Number.isNaN(value) ? null : value;
    }),
  };
}

const traceLabels = ["traceID", "trace_id", "traceId", "trace:id"];

/** Reads the data of /api/v1/query_exemplars. Exemplars without a trace id are left out: a dot must lead somewhere. */
export function parseExemplars(data: unknown): Exemplar[] {
  const sets = (data ?? []) as { seriesLabels?: Labels; exemplars?: { labels?: Labels; value?: string; timestamp?: number }[] }[];
  return sets.flatMap(({ seriesLabels = {}, exemplars = [] }) =>
    exemplars.flatMap(({ labels = {}, value = "NaN", timestamp = 0 }) => {
      const trace = traceOf(labels);
      const number = parseNumber(value);
      return trace === undefined || !Number.isFinite(number) ? [] : [{ time: timestamp, value: number, trace, labels: { ...seriesLabels, ...labels } }];
    }),
  );
}

/** The trace that the labels of an exemplar name: hex, with or without leading zeros. */
export function traceOf(labels: Labels): string | undefined {
  const id = traceLabels.map((l) => labels[l]).find((v) => v !== undefined);
  return id !== undefined && /^[0-9a-fA-F]{1,32}$/.test(id) && !/^0+$/.test(id) ? id.toLowerCase() : undefined;
}

export interface Target {
  pool: string;
  url: string;
  labels: Labels;
  health: string;
  error: string;
  /** ISO 8601; "0001-01-01T00:00:00Z" before the first scrape. */
  lastScrape: string;
  lastDuration: number;
  interval: string;
}

interface TargetJson {
  scrapePool?: string;
  scrapeUrl?: string;
  labels?: Labels;
  health?: string;
  lastError?: string;
  lastScrape?: string;
  lastScrapeDuration?: number;
  scrapeInterval?: string;
}

/** Reads the data of /api/v1/targets, the ill ones first. */
export function parseTargets(data: unknown): Target[] {
  const { activeTargets } = (data ?? {}) as { activeTargets?: TargetJson[] | null };
  const targets = (activeTargets ?? []).map((t): Target => ({
    pool: t.scrapePool ?? "",
    url: t.scrapeUrl ?? "",
    labels: t.labels ?? {},
    health: t.health ?? "unknown",
    error: t.lastError ?? "",
    lastScrape: t.lastScrape ?? "",
    lastDuration: t.lastScrapeDuration ?? 0,
    interval: t.scrapeInterval ?? "",
  }));
  const ill = (t: Target): number => (t.health === "down" ? 0 : t.health === "up" ? 2 : 1);
  return targets.sort((a, b) => ill(a) - ill(b) || a.pool.localeCompare(b.pool) || a.url.localeCompare(b.url));
}
