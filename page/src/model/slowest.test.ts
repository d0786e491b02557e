import { expect, test } from "vitest";
import { random } from "../testdata/traces";
import type { Result } from "./search";
import { askedAtATime, slowest } from "./slowest";

function many(n: number, duration: (i: number) => number): Result[] {
  return Array.from({ length: n }, (_, i) => ({ id: String(i), rootService: "", rootName: "", start: BigInt(i), duration: Math.floor(duration(i)), spanCount: 0, errorCount: 0, spans: [], spanTotal: 0 }));
}

/** A search that gives the newest n. */
function backend(all: Result[], n: number): { ask: (least: number) => Promise<Result[]>; rounds: () => number } {
  let asked = 0;
  return { ask: (least) => Promise.resolve((asked++, all.filter((r) => r.duration >= least).reverse().slice(0, n))), rounds: () => asked };
}

test.each([
  ["none", 0, (i: number) => i],
  ["fewer than asked", 5, (i: number) => i],
  ["the slowest are the newest", 10_000, (i: number) => i],
  ["the slowest are the oldest", 10_000, (i: number) => 10_000 - i],
  ["all alike", 1000, () => 7],
  ["at random", 20_000, ((next) => () => next() ** 4 * 1e6)(random(5))],
])("%s", async (_, n, duration) => {
  const all = many(n, duration);
  const { ask, rounds } = backend(all, askedAtATime(20));
  const { results, exact } = await slowest(20, ask);
  const want = all.map((r) => r.duration).sort((a, b) => b - a).slice(0, 20);
  expect(exact).toBe(true);
  expect(results.map((r) => r.duration)).toEqual(want);
  expect(rounds()).toBeLessThan(30);
});
