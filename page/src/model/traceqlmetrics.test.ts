import { expect, test } from "vitest";
import { compared, metricsFunction, metricsUnit, parseInstant, parseRange, spanStep } from "./traceqlmetrics";

test.each([
  ["{ } | rate()", "rate"],
  ["{ status = error } | by(name) |count_over_time( ) by (name)", "count_over_time"],
  ["{ } | quantile_over_time(duration, .9)", "quantile_over_time"],
  ["{ } | compare({ status = error })", "compare"],
  ["({ } >> { }) | histogram_over_time(duration) with(sample=true)", "histogram_over_time"],
  ["{ }", undefined],
  ["{ } | count() > 2", undefined],
  ['{ name = "| rate()" }', undefined],
  ["{ name = `| rate()` } // | rate()", undefined],
  ["{ .a = /* | rate() */ 1 }", undefined],
  ["{ } | rated()", undefined],
])("the metrics function of %s", (query, want) => {
  expect(metricsFunction(query)).toBe(want);
});

test("units", () => {
  expect(metricsUnit("{} | rate()")).toBe("rate");
  expect(metricsUnit("{} | max_over_time(span:duration)")).toBe("seconds");
  expect(metricsUnit("{} | avg_over_time(span.bytes)")).toBe("number");
  expect(metricsUnit("{} | count_over_time()")).toBe("number");
});

const label = (key: string, value: object) => ({ key, value });

test("zeros that are not sent are zeros of counts and gaps of quantiles", () => {
  const json = { series: [{ labels: [label("p", { doubleValue: 0.5 })], samples: [{ timestampMs: "1000" }, { timestampMs: "2000", value: 1.5 }] }] };
  expect(parseRange(json, "{} | quantile_over_time(duration, .5)").series[0]).toEqual({ labels: { p: "0.5" }, times: [1, 2], values: [null, 1.5] });
  expect(parseRange(json, "{} | rate()").series[0]!.values).toEqual([0, 1.5]);
  expect(parseRange({ series: null }, "{} | rate()").series).toEqual([]);
  expect(parseRange({ status: "PARTIAL", message: "too many" }, "{} | rate()").note).toBe("too many");
});

test("exemplars stand at their duration in a histogram and at their value elsewhere", () => {
  const exemplar = { labels: [label("duration", { stringValue: "1.5s" }), label("trace:id", { stringValue: "7e07" })], value: 23, timestampMs: "2500" };
  const json = (key: string) => ({ series: [{ labels: [label(key, { doubleValue: 2 })], samples: [], exemplars: [exemplar, { labels: [], value: 1 }] }] });
  expect(parseRange(json("__bucket"), "{} | histogram_over_time(duration)").exemplars).toMatchObject([{ time: 2.5, value: 1.5, trace: "7e07" }]);
  expect(parseRange(json("x"), "{} | rate()").exemplars).toMatchObject([{ value: 23 }]);
});

test("one number a series", () => {
  const answer = parseInstant({ series: [{ labels: [label("name", { stringValue: "a" })], value: 2 }, { labels: [label("name", { stringValue: "b" })] }] }, "{} | rate()");
  expect(answer.series.map((s) => s.values)).toEqual([[2], [0]]);
});

test("compare: shares of each side, the greatest difference first", () => {
  const row = (type: string, key: string, value: string, count: number) => ({ labels: { __meta_type: type, [key]: value }, times: [0], values: [count] });
  const { rows, baselineSpans, selectionSpans } = compared([
    row("baseline", "name", "a", 30), row("baseline", "name", "b", 10), row("selection", "name", "b", 10),
    row("baseline", "kind", "server", 20), row("selection", "kind", "server", 5),
    row("baseline_total", "name", "nil", 40), row("selection_total", "name", "nil", 10), row("baseline_total", "kind", "nil", 40), row("selection_total", "kind", "nil", 10),
    row("baseline", "same", "x", 40), row("selection", "same", "x", 10),
  ]);
  expect([baselineSpans, selectionSpans]).toEqual([40, 10]);
  expect(rows.map((r) => `${r.attribute}=${r.value} ${r.baseline} ${r.selection}`)).toEqual(["name=a 0.75 0", "name=b 0.25 1"]);
});

test.each([
  [900, 150, 10],
  [3601, 150, 30],
  [86_400, 150, 600],
  [10, 150, 1],
])("%d seconds at %d points step by %d", (width, points, want) => {
  expect(spanStep(width, points)).toBe(want);
});
