import { expect, test } from "vitest";
import { align, type Exemplar, largest, legendNames, type Series, seriesName, serviceOf, summarise, thin } from "./series";

function series(labels: Record<string, string>, points: [number, number | null][]): Series {
  return { labels, times: points.map((p) => p[0]), values: points.map((p) => p[1]) };
}

test("series come onto one grid, and a step without a value is a gap", () => {
  const a = series({ s: "a" }, [[10, 1], [20, 2], [50, 5]]);
  const b = series({ s: "b" }, [[30, 3], [40, Infinity]]);
  expect(align([a, b])).toEqual({ times: [10, 20, 30, 40, 50], columns: [[1, 2, null, null, 5], [null, null, 3, null, null]] });
  expect(align([series({}, [[7, 4]])])).toEqual({ times: [7], columns: [[4]] });
  expect(align([series({}, [])])).toEqual({ times: [], columns: [[]] });
  expect(align([])).toEqual({ times: [], columns: [] });
});

test("a wild pair of times cannot make a grid without end", () => {
  expect(align([series({}, [[0, 1], [0.001, 2], [1e9, 3]])]).times.length).toBeLessThanOrEqual(11_000);
});

test("the summary of a line looks over its gaps", () => {
  expect(summarise([null, 3, 1, null])).toEqual({ last: 1, min: 1, max: 3 });
  expect(summarise([null])).toEqual({ last: undefined, min: undefined, max: undefined });
});

test("of many series the greatest are shown", () => {
  const many = [1, 5, 3].map((v) => series({ s: String(v) }, [[0, v]]));
  const { shown, rest } = largest(many, 2);
  expect(shown.map((s) => s.labels["s"])).toEqual(["5", "3"]);
  expect(rest).toBe(1);
  expect(largest(many, 3)).toEqual({ shown: many, rest: 0 });
});

test("names of series", () => {
  expect(seriesName({ __name__: "up", job: 'a"b' })).toBe('up{job="a\\"b"}');
  expect(seriesName({ __name__: "up" })).toBe("up");
  expect(seriesName({})).toBe("{}");
  const both = [{ service: "a", source: "tempo" }, { service: "b", source: "tempo" }];
  expect(legendNames(both.map((l) => series(l, [])))).toEqual(["a", "b"]);
  expect(legendNames([series({ p: "0.95" }, []), series({ p: "0.999" }, [])])).toEqual(["p95", "p99.9"]);
  expect(legendNames([series({ __name__: "rate" }, [])])).toEqual(["rate"]);
  expect(serviceOf({ "resource.service.name": "edge" })).toBe("edge");
  expect(serviceOf({ le: "1" })).toBeUndefined();
});

test("of many exemplars each slice of time keeps its slowest", () => {
  const dots = Array.from({ length: 1000 }, (_, i): Exemplar => ({ time: i, value: i % 10, trace: "1", labels: {} }));
  const kept = thin(dots, 50);
  expect(kept.length).toBeLessThanOrEqual(50);
  expect(kept.every((e) => e.value === 9)).toBe(true);
  expect(thin(dots.slice(0, 3), 50)).toHaveLength(3);
  expect(thin(Array.from({ length: 9 }, () => ({ ...dots[0]! })), 3)).toHaveLength(1);
});
