// The slowest traces of the whole range, exactly, out of a search that gives only the newest.
//
// A search with a limit returns the newest matches. Where it returns fewer than its limit, it has returned all of them.
// So a bar is searched for, a least duration, above which there are at least n traces and fewer than the limit: those are
// all known, and the slowest n are among them. The bar is doubled until too few are above it, then halved in; a limit of
// some times n makes the target wide, so that a handful of rounds suffices.

import type { Result } from "./search";
import type { Milliseconds } from "./units";

/** Doubling to an hour and halving back takes fewer. */
const mostRounds = 50;

export interface Slowest {
  results: Result[];
  /** Whether no slower trace can be missing. */
  exact: boolean;
}

/** How many traces are asked for at a time, for the slowest n. */
export function askedAtATime(n: number): number {
  return Math.min(10_000, 10 * n + 100);
}

/** ask returns the newest traces that took at least so long, askedAtATime(n) of them or all. */
export async function slowest(n: number, ask: (least: Milliseconds) => Promise<Result[]>): Promise<Slowest> {
  const limit = askedAtATime(n);
  const known = new Map<string, Result>();
  const best = (): Result[] => [...known.values()].sort((a, b) => b.duration - a.duration || (a.start < b.start ? 1 : -1)).slice(0, n);
  /** Too many are above low; too few are above high. */
  let [low, high]: [Milliseconds, Milliseconds] = [0, Infinity];
  let bar: Milliseconds = 0;
  for (let round = 0; round < mostRounds; round++) {
    const answer = await ask(bar);
    for (const result of answer) known.set(result.id, result);
    if (answer.length < limit && (answer.length >= n || bar === 0)) return { results: best(), exact: true };
    if (answer.length < limit) high = bar;
    else low = bar;
    // Durations come in whole milliseconds: between neighbours there are only ties.
    if (high - low <= 1) return { results: best(), exact: true };
    bar = high === Infinity ? Math.max(2 * low, best().at(-1)!.duration, low + 1) : Math.floor((low + high) / 2);
  }
  return { results: best(), exact: false };
}
