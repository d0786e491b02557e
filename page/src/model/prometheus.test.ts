import { expect, test } from "vitest";
import { parseAnswer, parseExemplars, parseTargets, traceOf } from "./prometheus";

test("an instant vector", () => {
  const data = { resultType: "vector", result: [{ metric: { service: "a" }, value: [1.5, "0.25"] }, { metric: {}, value: [1.5, "NaN"] }, { metric: { h: "1" }, histogram: [1.5, { count: "3", sum: "9" }] }] };
  expect(parseAnswer(data)).toEqual({
    type: "vector",
    samples: [{ labels: { service: "a" }, time: 1.5, value: 0.25 }, { labels: {}, time: 1.5, value: NaN }, { labels: { h: "1" }, time: 1.5, value: 3 }],
  });
});

test("a matrix keeps infinities and has gaps for NaN", () => {
  const data = { resultType: "matrix", result: [{ metric: { a: "b" }, values: [[1, "1e+06"], [2, "NaN"], [3, "+Inf"], [4, "-Inf"]] }] };
  expect(parseAnswer(data)).toEqual({ type: "matrix", series: [{ labels: { a: "b" }, times: [1, 2, 3, 4], values: [1e6, null, Infinity, -Infinity] }] });
});

test("scalars, strings, and what is neither", () => {
  expect(parseAnswer({ resultType: "scalar", result: [3, "2"] })).toEqual({ type: "scalar", time: 3, value: 2 });
  expect(parseAnswer({ resultType: "string", result: [3, "x"] })).toEqual({ type: "string", time: 3, value: "x" });
  expect(() => parseAnswer({ resultType: "tensor", result: [] })).toThrow('a result of type "tensor"');
  expect(() => parseAnswer(undefined)).toThrow("undefined");
});

test("exemplars lead to traces, whose ids come without leading zeros", () => {
  const set = (labels: Record<string, string>, value = "1.2") => ({ seriesLabels: { service: "edge" }, exemplars: [{ labels, value, timestamp: 7.5 }] });
  expect(parseExemplars([set({ traceID: "771A728620b4bd35" })])).toEqual([{ time: 7.5, value: 1.2, trace: "771a728620b4bd35", labels: { service: "edge", traceID: "771A728620b4bd35" } }]);
  expect(parseExemplars([set({ trace_id: "1f" }), set({ spanID: "1f" }), set({ traceID: "not hex" }), set({ traceID: "0000" }), set({ traceID: "1" }, "NaN")])).toHaveLength(1);
  expect(parseExemplars(null)).toEqual([]);
  expect(traceOf({ "trace:id": "ABC" })).toBe("abc");
  expect(traceOf({ traceID: "1".repeat(33) })).toBeUndefined();
});

test("targets: the ill ones first", () => {
  const targets = parseTargets({ activeTargets: [{ scrapePool: "a", scrapeUrl: "u", health: "up" }, { scrapePool: "b", scrapeUrl: "u", health: "down", lastError: "refused" }, { scrapePool: "c" }] });
  expect(targets.map((t) => `${t.pool} ${t.health} ${t.error}`)).toEqual(["b down refused", "c unknown ", "a up "]);
  expect(parseTargets({ activeTargets: null })).toEqual([]);
});
