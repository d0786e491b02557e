import { expect, test } from "vitest";
import { random, randomTrace, traceOf } from "../testdata/traces";
import { criticalPath } from "./criticalpath";
import { nameOf, type Trace } from "./trace";

function drawn(t: Trace): string {
  return criticalPath(t).segments.map((s) => `${s.span < 0 ? "-" : nameOf(t, s.span)} ${s.from}-${s.to}`).join(", ");
}

test.each<[string, string, string]>([
  ["a lone span", "a - 10-50", "a 0-40"],
  ["own time around a child", "a - 0-100\nb a 20-70", "a 0-20, b 20-70, a 70-100"],
  ["children one after the other", "a - 0-100\nb a 10-40\nc a 50-90", "a 0-10, b 10-40, a 40-50, c 50-90, a 90-100"],
  ["of two that overlap, the one that ended last", "a - 0-100\nb a 10-60\nc a 40-90", "a 0-40, c 40-90, a 90-100"],
  ["the last to end before the one that was waited for", "a - 0-100\nb a 10-30\nc a 35-90\nd a 20-50", "a 0-10, b 10-30, a 30-35, c 35-90, a 90-100"],
  ["down through the levels", "a - 0-100\nb a 10-90\nc b 20-80", "a 0-10, b 10-20, c 20-80, b 80-90, a 90-100"],
  ["a child that outlives its parent is cut", "a - 0-100\nb a 50-200", "a 0-50, b 50-100"],
  ["a child that begins before its parent is cut", "a - 100-200\nb a 50-150", "b 50-100, a 100-150"],
  ["a child outside of its parent counts for nothing", "a - 0-100\nb a 150-200", "a 0-100"],
  ["a fan-out: the slowest alone", "a - 0-100\nb a 10-40\nc a 10-95\nd a 10-50", "a 0-10, c 10-95, a 95-100"],
  ["two roots and a gap", "a - 0-40\nb - 60-100", "a 0-40, - 40-60, b 60-100"],
  ["no root", "a x 0-40\nb a 10-30", "a 0-10, b 10-30, a 30-40"],
  ["no time at all", "a - 5-5", ""],
])("%s", (_, text, want) => {
  expect(drawn(traceOf(text))).toBe(want);
});

test("no spans", () => {
  expect(criticalPath(traceOf(""))).toEqual({ from: 0, to: 0, segments: [], shares: [] });
});

test("10,000 levels", () => {
  const text = Array.from({ length: 10_000 }, (_, i) => `s${i} ${i === 0 ? "-" : `s${i - 1}`} ${i}-20000`).join("\n");
  const { segments, shares } = criticalPath(traceOf(text));
  expect([segments.length, shares[0]]).toEqual([10_000, { span: 9999, time: 10_001 }]);
});

test("segments cover the root once, and shares add up to it", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const t = randomTrace(random(seed));
    const { from, to, segments, shares } = criticalPath(t);
    let at = from;
    for (const s of segments) {
      expect(s.from, `seed ${seed}`).toBe(at);
      expect(s.to).toBeGreaterThan(s.from);
      if (s.span >= 0) expect(s.from >= t.starts[s.span]! && s.to <= t.starts[s.span]! + t.durations[s.span]!, `seed ${seed}: span ${s.span} runs in its segment`).toBe(true);
      at = s.to;
    }
    expect(at, `seed ${seed}`).toBe(to);
    expect(shares.reduce((sum, s) => sum + s.time, 0)).toBe(to - from);
  }
});
