import { expect, test } from "vitest";
import { random } from "../testdata/traces";
import { orderOf } from "./order";

test.each([0, 1, 50, 1999, 2000, 30_000])("%d keys are sorted as by comparison, equal ones in their own order", (n) => {
  const next = random(n + 1);
  const special = [NaN, 0, -0, -Infinity, Infinity, 2 ** 53, -0.5, 5e-324];
  const keys = Float64Array.from({ length: n }, () => (next() < 0.1 ? special[Math.floor(next() * special.length)]! : next() < 0.5 ? Math.floor(next() * 100) : (next() - 0.3) * 10 ** Math.floor(next() * 15)));
  const value = (i: number): number => (Number.isNaN(keys[i]!) ? -Infinity : keys[i]!);
  const want = [...keys.keys()].sort((a, b) => (value(a) === value(b) ? a - b : value(a) - value(b)));
  expect([...orderOf(keys)]).toEqual(want);
});

test("sorted keys stay", () => {
  expect([...orderOf(Float64Array.of(NaN, 1, 1, 2))]).toEqual([0, 1, 2, 3]);
});
