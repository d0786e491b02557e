import { expect, test } from "vitest";
import { random, randomTrace, traceOf } from "../testdata/traces";
import { corrected, skewOf, skewSummary } from "./skew";
import { nameOf } from "./trace";

test.each([
  ["inside of the parent: left alone", "a - 0-100 x\nb a 10-50 y", ""],
  ["the same service: left alone", "a - 0-100 x\nb a 200-250 x", ""],
  ["before the parent: centred", "a - 1000-1100 x\nb a 0-50 y", "b 1025"],
  ["after the parent: centred", "a - 0-100 x\nb a 500-550 y", "b -475"],
  ["its own children move along", "a - 0-100 x\nb a 500-550 y\nc b 510-520 y", "b -475 c -475"],
  ["longer than the parent: to the parent's start", "a - 100-200 x\nb a 50-250 y", "b 50"],
  ["longer, and later: left alone", "a - 0-100 x\nb a 50-250 y", ""],
  ["a third clock is measured against the moved one", "a - 0-100 x\nb a 500-590 y\nc b 10-20 z", "b -495"],
])("%s", (_, text, want) => {
  const t = traceOf(text);
  const shifts = skewOf(t);
  expect(Array.from(t.order, (__, i) => (shifts?.[i] ? `${nameOf(t, i)} ${shifts[i]}` : "")).filter((s) => s !== "").join(" ")).toBe(want);
});

test("a corrected trace says what was moved", () => {
  const t = corrected(traceOf("a - 1000-1100 x\nb a 0-50 y\nc b 10-20 y"))!;
  expect([...t.starts]).toEqual([0, 25, 35]);
  expect(t.duration).toBe(100);
  expect(skewSummary(t)).toEqual([{ service: "y", spans: 2, by: 1025 }]);
  expect(corrected(traceOf("a - 0-100 x\nb a 10-50 y"))).toBeUndefined();
});

test("correcting leaves durations alone, and a second time nothing is wrong", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const t = randomTrace(random(seed));
    const once = corrected(t);
    if (!once) continue;
    const sum = (of: Float64Array): number => of.reduce((a, b) => a + b, 0);
    expect(sum(once.durations), `seed ${seed}`).toBe(sum(t.durations));
  }
});
