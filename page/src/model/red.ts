// Rate, errors, duration: the rows of the list of services and of the spans of one service.

import type { Sample } from "./prometheus";
import { align, type Labels, type Series } from "./series";
import type { PerSecond, Seconds, Share } from "./units";

export interface Red {
  count: number;
  rate: PerSecond;
  errors: Share;
  p50: Seconds | undefined;
  p95: Seconds | undefined;
  p99: Seconds | undefined;
}

export interface ServiceRow extends Red {
  name: string;
  /** The rate over time, null where nothing is known. */
  trend: (number | null)[];
}

export interface SpanRow extends Red {
  name: string;
  /** server, client, internal, producer, consumer or unspecified. */
  kind: string;
}

export interface RedAnswers {
  count: Sample[];
  rate: Sample[];
  /** Shares for services, rates of failed spans for spans. */
  errors: Sample[];
  p50: Sample[];
  p95: Sample[];
  p99: Sample[];
}

export type RedKey = "name" | "count" | "rate" | "errors" | "p50" | "p95" | "p99";

export function serviceRows(answers: RedAnswers, trends: Series[]): ServiceRow[] {
  const key = (labels: Labels): string => labels["service"] ?? "";
  const at = lookup(answers, key);
  const { columns } = align(trends);
  const lines = new Map(trends.map((s, i) => [key(s.labels), columns[i]!]));
  return answers.rate.filter((s) => key(s.labels) !== "").map((s): ServiceRow => {
    const name = key(s.labels);
    return { name, count: at("count", name) ?? 0, rate: s.value, errors: at("errors", name) ?? 0, p50: at("p50", name), p95: at("p95", name), p99: at("p99", name), trend: lines.get(name) ?? [] };
  });
}

export function spanRows(answers: RedAnswers): SpanRow[] {
  const key = (labels: Labels): string => `${labels["span_name"] ?? ""}\0${labels["span_kind"] ?? ""}`;
  const at = lookup(answers, key);
  return answers.rate.map((s): SpanRow => {
    const id = key(s.labels);
    return {
      name: s.labels["span_name"] ?? "",
      kind: (s.labels["span_kind"] ?? "").replace("SPAN_KIND_", "").toLowerCase() || "unspecified",
      count: at("count", id) ?? 0,
      rate: s.value,
      errors: s.value > 0 ? (at("errors", id) ?? 0) / s.value : 0,
      p50: at("p50", id),
      p95: at("p95", id),
      p99: at("p99", id),
    };
  });
}

function lookup(answers: RedAnswers, key: (labels: Labels) => string): (of: keyof RedAnswers, id: string) => number | undefined {
  const maps = new Map(Object.entries(answers).map(([of, samples]) => [of, new Map((samples as Sample[]).map((s) => [key(s.labels), s.value]))]));
  return (of, id) => {
    const value = maps.get(of)?.get(id);
    return value !== undefined && Number.isFinite(value) ? value : undefined;
  };
}

/** A sorted copy; rows without a value come last, ties go by name. */
export function sortRows<T extends Red & { name: string }>(rows: T[], key: RedKey, descending: boolean): T[] {
  const sign = descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    if (key === "name") return sign * a.name.localeCompare(b.name);
    const [x, y] = [a[key], b[key]];
    if (x === undefined || y === undefined) return Number(x === undefined) - Number(y === undefined) || a.name.localeCompare(b.name);
    return sign * (x - y) || a.name.localeCompare(b.name);
  });
}
