// The spans of a trace as a table: one by one, or gathered by service or by operation.

import { answerFor, percentages } from "./answer";
import { type Columns, nameOf, serviceOf } from "./trace";
import type { Nanoseconds, Percent, Share, SpanIndex } from "./units";

export type Grouping = "" | "service" | "name";
export type SpanKey = "service" | "name" | "start" | "duration" | "own" | "critical";
export type GroupKey = "service" | "name" | "count" | "errors" | "total" | "own" | "p95" | "max" | "critical";

/** A key with "-" in front for descending. */
export function parseSort<K extends string>(text: string, keys: readonly K[], initial: string): { key: K; descending: boolean } {
  const read = (from: string): { key: K; descending: boolean } | undefined => {
    const key = keys.find((k) => k === from.replace(/^-/, ""));
    return key && { key, descending: from.startsWith("-") };
  };
  return read(text) ?? read(initial)!;
}

/** The time for which the trace waited for each span. */
export function criticalTimes(t: Columns): Float64Array {
  const made = new Float64Array(t.length);
  for (const { span, time } of answerFor(t).path.shares) if (span >= 0) made[span] = time;
  return made;
}

/** The given spans in order; ties keep the order of the tree. */
export function sortSpans(t: Columns, spans: Int32Array, key: SpanKey, descending: boolean): Int32Array {
  const values = sortValues(t, key);
  const sign = descending ? -1 : 1;
  return spans.slice().sort((a, b) => sign * (values[a]! - values[b]!) || a - b);
}

/** A number for each span that sorts as the column does; texts are ranked first, so that a long table sorts fast. */
function sortValues(t: Columns, key: SpanKey): ArrayLike<number> {
  if (key === "start") return t.starts;
  if (key === "duration") return t.durations;
  if (key === "own") return t.selfTimes;
  if (key === "critical") return criticalTimes(t);
  const [texts, ids] = key === "service" ? [t.services, t.serviceIds] : [t.names, t.nameIds];
  const ranks = new Int32Array(texts.length);
  texts.map((_, i) => i).sort((a, b) => texts[a]!.localeCompare(texts[b]!)).forEach((id, rank) => (ranks[id] = rank));
  return ids.map((id) => ranks[id]!);
}

export interface Group {
  service: string;
  serviceId: number;
  /** "" where the group is a whole service. */
  name: string;
  count: number;
  errors: number;
  /** Durations added up: more than the trace where spans ran side by side. */
  total: Nanoseconds;
  own: Nanoseconds;
  p95: Nanoseconds;
  max: Nanoseconds;
  critical: Nanoseconds;
  /** The longest span. */
  slowest: SpanIndex;
}

export function groupSpans(t: Columns, spans: Int32Array, by: "service" | "name"): Group[] {
  const critical = criticalTimes(t);
  const groups = new Map<number, { group: Group; durations: number[] }>();
  for (const i of spans) {
    const key = by === "service" ? t.serviceIds[i]! : t.serviceIds[i]! * t.names.length + t.nameIds[i]!;
    let found = groups.get(key);
    if (!found) {
      const group: Group = { service: serviceOf(t, i), serviceId: t.serviceIds[i]!, name: by === "service" ? "" : nameOf(t, i), count: 0, errors: 0, total: 0, own: 0, p95: 0, max: 0, critical: 0, slowest: i };
      groups.set(key, (found = { group, durations: [] }));
    }
    const { group, durations } = found;
    const duration = t.durations[i]!;
    group.count++;
    group.errors += t.errors[i]!;
    group.total += duration;
    group.own += t.selfTimes[i]!;
    group.critical += critical[i]!;
    if (duration > group.max) [group.max, group.slowest] = [duration, i];
    durations.push(duration);
  }
  return [...groups.values()].map(({ group, durations }) => ({ ...group, p95: percentile(durations, 0.95) }));
}

/**
 * What each group has of the critical path, and what none of them has: time in which no span ran, and spans that are in
 * no group. All together add up to 100.0, unless no time passed.
 */
export function criticalPercents(t: Columns, groups: Group[]): { groups: Percent[]; other: Percent } {
  const { whole } = answerFor(t);
  if (whole <= 0) return { groups: groups.map(() => 0), other: 0 };
  const known = groups.reduce((sum, g) => sum + g.critical, 0);
  const made = percentages([...groups.map((g) => g.critical), Math.max(0, whole - known)].map((time) => time / whole));
  return { groups: made.slice(0, -1), other: made.at(-1)! };
}

/** What each group has of the own time of all of them. They add up to 100.0, unless there is none. */
export function ownPercents(groups: Group[]): Percent[] {
  const all = groups.reduce((sum, g) => sum + g.own, 0);
  return percentages(groups.map((g) => (all > 0 ? g.own / all : 0)));
}

/** The smallest value that is not below the given share of all values. */
function percentile(values: number[], share: Share): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}

export function sortGroups(groups: Group[], key: GroupKey, descending: boolean): Group[] {
  const sign = descending ? -1 : 1;
  const by = (a: Group, b: Group): number => (key === "service" || key === "name" ? a[key].localeCompare(b[key]) : a[key] - b[key]);
  return [...groups].sort((a, b) => sign * by(a, b) || a.service.localeCompare(b.service) || a.name.localeCompare(b.name));
}
