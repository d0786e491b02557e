// The answer to the question that a trace is opened with: where did the time go? The critical path, gathered by
// operation: forty-eight short queries in a row are one answer, not forty-eight.

import { criticalPath, type CriticalPath } from "./criticalpath";
import { type Columns, nameOf, serviceOf } from "./trace";
import type { Nanoseconds, Percent, Share, SpanIndex } from "./units";

export interface Part {
  service: string;
  /** Into Trace.services; -1 for time in which no span ran. */
  serviceId: number;
  name: string;
  time: Nanoseconds;
  share: Share;
  /** How many spans of this operation are on the path. */
  spans: number;
  /** The one of them with the greatest share. */
  span: SpanIndex;
}

export interface Answer {
  path: CriticalPath;
  /** The time that is explained. */
  whole: Nanoseconds;
  /** Greatest first; the shares add up to 1, unless whole is 0. */
  parts: Part[];
}

const known = new WeakMap<Columns, Answer>();

export function answerFor(t: Columns): Answer {
  const found = known.get(t);
  if (found) return found;
  const path = criticalPath(t);
  const whole = path.to - path.from;
  const byOperation = new Map<string, Part>();
  // Shares come greatest first, so the first span of an operation is its greatest.
  for (const { span, time } of path.shares) {
    const key = span < 0 ? "" : `${t.serviceIds[span]} ${t.nameIds[span]}`;
    const part = byOperation.get(key);
    if (part) {
      part.time += time;
      part.spans++;
      part.share = part.time / whole;
      continue;
    }
    const named = span < 0 ? { service: "", serviceId: -1, name: "no span at all" } : { service: serviceOf(t, span), serviceId: t.serviceIds[span]!, name: nameOf(t, span) };
    byOperation.set(key, { ...named, time, share: time / whole, spans: 1, span });
  }
  const made = { path, whole, parts: [...byOperation.values()].sort((a, b) => b.time - a.time) };
  known.set(t, made);
  return made;
}

/** Keeps an answer that a Worker computed for the same columns. */
export function keepAnswer(t: Columns, answer: Answer): void {
  known.set(t, answer);
}

/** An answer as the page lists it: the greatest parts, then all others as one line. */
export interface Listing {
  listed: Part[];
  others: Part[];
  /** One for each listed part, and one for the others where there are any. They add up to 100.0. */
  percents: Percent[];
}

/** An answer of one part more than most is listed whole: "1 more operation" would take the same line. */
export function listing({ parts }: Answer, most = 12): Listing {
  const listed = parts.slice(0, parts.length > most + 1 ? most : undefined);
  const others = parts.slice(listed.length);
  const rest = others.reduce((sum, p) => sum + p.share, 0);
  return { listed, others, percents: percentages([...listed.map((p) => p.share), ...(others.length > 0 ? [rest] : [])]) };
}

/**
 * Shares as percentages with one decimal that add up to what the shares add up to: each is rounded down, and the tenths
 * that are missing then go to the greatest remainders. Every list of shares of one whole is rounded by this function.
 */
export function percentages(shares: Share[]): Percent[] {
  const exact = shares.map((s) => s * 1000);
  const floors = exact.map(Math.floor);
  const missing = Math.round(exact.reduce((a, b) => a + b, 0)) - floors.reduce((a, b) => a + b, 0);
  const order = exact.map((_, i) => i).sort((a, b) => exact[b]! - floors[b]! - (exact[a]! - floors[a]!) || a - b);
  for (let k = 0; k < missing; k++) floors[order[k]!]!++;
  return floors.map((n) => n / 10);
}

/** "93 %", "7.4 %"; "<0.1 %" for a share that the rounding took all of. */
export function percentText(percent: Percent, share: Share): string {
  return percent === 0 && share > 0 ? "<0.1 %" : `${percent.toFixed(1).replace(/\.0$/, "")} %`;
}

/** A share that is not one of a list. */
export function percentOf(share: Share): string {
  return percentText(Math.round(1000 * share) / 10, share);
}
