import { expect, test } from "vitest";
import { setZone } from "../model/format";
import { cellAt, cellBox, exemplarAt, fromBuckets, fromCumulative, strength, tableHeads, tableRow } from "./heatmap";
import { sparkline } from "./sparkline";

const s = (label: string, bound: string, values: (number | null)[]) => ({ labels: { [label]: bound }, times: values.map((_, i) => 60 + i * 60), values });

test("cumulated buckets become what is in each alone", () => {
  const heat = fromCumulative([s("le", "+Inf", [9, 9]), s("le", "0.1", [0, 0]), s("le", "0.2", [0, 1]), s("le", "0.4", [4, 1]), s("le", "0.05", [0, 0])], 60);
  expect(heat.bounds).toEqual([0.1, 0.2, 0.4, Infinity]);
  expect(heat.counts).toEqual([[0, 0], [0, 1], [4, 0], [5, 8]]);
  expect(heat.max).toBe(8);
});

test("a counter that fell between two buckets never counts below zero", () => {
  expect(fromCumulative([s("le", "1", [3]), s("le", "2", [2])], 60).counts).toEqual([[3]]);
});

test("buckets of groups are summed, and the empty heat map is empty", () => {
  const heat = fromBuckets([s("__bucket", "2", [1, 2]), s("__bucket", "2", [10, null]), s("__bucket", "1", [0, 5])], 60);
  expect(heat.bounds).toEqual([1, 2]);
  expect(heat.counts).toEqual([[0, 5], [11, 2]]);
  expect(fromBuckets([], 60)).toMatchObject({ bounds: [], max: 0 });
  expect(fromBuckets([s("other", "2", [1])], 60)).toMatchObject({ bounds: [], max: 0 });
});

test("cells and exemplars stand where their time and duration put them", () => {
  const heat = fromBuckets([s("__bucket", "1", [1, 2]), s("__bucket", "2", [3, 4])], 60);
  const box = { left: 10, top: 0, width: 120, height: 100 };
  const span = { from: 0, to: 120 };
  expect(cellBox(heat, box, span, { row: 0, column: 1 })).toEqual({ left: 70, top: 50, width: 60, height: 50 });
  expect(cellAt(heat, box, span, 100, 75)).toEqual({ row: 0, column: 1 });
  expect(cellAt(heat, box, span, 20, 10)).toEqual({ row: 1, column: 0 });
  expect(cellAt(heat, box, span, 500, 10)).toBeUndefined();
  const at = (time: number, value: number) => exemplarAt(heat, box, span, { time, value, trace: "1", labels: {} });
  expect(at(60, Math.SQRT2)).toEqual({ x: 70, y: expect.closeTo(25) as number });
  expect(at(60, 9)).toBeUndefined();
  expect(at(600, 1)).toBeUndefined();
});

test("the table behind a heat map says what the picture shows", () => {
  setZone("utc");
  const heat = fromCumulative([s("le", "0.1", [0, 0]), s("le", "0.2", [0, 1]), s("le", "0.4", [4, 1]), s("le", "+Inf", [9.4, 2001])], 60);
  expect(tableHeads(heat)).toEqual(["From", "50 ms – 100 ms", "100 ms – 200 ms", "200 ms – 400 ms", "400 ms – +Inf"]);
  expect(heat.times.map((_, i) => tableRow(heat, i))).toEqual([
    ["1970-01-01 00:00:00", "0", "0", "4", "5"],
    ["1970-01-01 00:01:00", "0", "1", "0", "2k"],
  ]);
  expect(tableHeads(fromBuckets([], 60))).toEqual(["From"]);
  setZone("local");
});

test("strength", () => {
  expect([strength(0, 9), strength(9, 9), strength(1, 4), strength(1, 0)]).toEqual([0, 1, 0.5, 0]);
});

test("a sparkline breaks at gaps", () => {
  expect(sparkline([0, 10, null, 5], 30, 22)).toBe("M0.0 21.0L10.0 1.0M30.0 11.0");
  expect(sparkline([0, 0], 10, 10)).toBe("M0.0 9.0L10.0 9.0");
  expect(sparkline([], 10, 10)).toBe("");
  expect(sparkline([3], 10, 10)).not.toContain("NaN");
});
