import { expect, test } from "vitest";
import { rangeBefore } from "./range";
import { greatest, parseComparison, ratio, signed, verdict } from "./compare";

const call = (offsetNanos: number, lengthNanos: number, ownNanos: number) => ({ calls: 1, lengthNanos, onPathNanos: lengthNanos, ownNanos, offsetNanos, traceId: "ab", spanId: "cd" });

const answer = {
  before: { traces: 1, found: 1, spans: 3, meanNanos: 100, p50Nanos: 100, p95Nanos: 100, traceIds: ["a"] },
  after: { query: "{ }", traces: 2, found: 9, partial: 1, spans: 8, meanNanos: 160, p50Nanos: 150, p95Nanos: 170, traceIds: ["b", "c"] },
  differenceNanos: 60,
  others: { rows: 2, differenceNanos: 3 },
  parts: [
    { row: 2, service: "db", name: "query", calledBy: "web get", change: "slower", differenceNanos: 70, beforeCalls: 1, afterCalls: 1, beforeOwnNanos: 20, afterOwnNanos: 90 },
    { row: 1, service: "web", name: "get", calledBy: "", change: "more overlap", differenceNanos: -13, beforeCalls: 1, afterCalls: 1, beforeOwnNanos: 5, afterOwnNanos: 5 },
  ],
  rows: [
    { parent: -1, service: "", name: "", insideDifferenceNanos: 57, before: call(0, 100, 0), after: call(0, 160, 0) },
    { parent: 0, service: "web", name: "get", overlapDifferenceNanos: -13, insideDifferenceNanos: 57, before: call(0, 100, 5), after: call(0, 160, 5) },
    { parent: 1, service: "db", name: "query", wasService: "db-old", wasName: "query", ownDifferenceNanos: 70, insideDifferenceNanos: 70, before: call(10, 20, 20), after: call(15, 90, 90) },
    { parent: 2, service: "disk", name: "read", after: call(5, 1, 1) },
  ],
};

test("an answer becomes rows with their place in the trace", () => {
  const c = parseComparison(answer);
  expect(c.rows.map((r) => [r.depth, r.before?.start, r.after?.start])).toEqual([[0, 0, 0], [1, 0, 0], [2, 10, 15], [3, undefined, 20]]);
  expect(c.rows[2]!.was).toBe("db-old query");
  expect([c.before.query, c.after.found, c.after.partial, c.after.ids]).toEqual(["", 9, 1, ["b", "c"]]);
});

test("parts and the rest add up to the difference", () => {
  const c = parseComparison(answer);
  for (const most of [0, 1, 5]) {
    const { shown, rest } = greatest(c, most);
    expect(shown.reduce((a, p) => a + p.difference, rest.difference)).toBe(60);
  }
  expect(greatest(c, 5).rest).toEqual({ parts: 2, difference: 3 });
  const quiet = { ...c, parts: [...c.parts, { ...c.parts[0]!, difference: 0.1 }] };
  expect(greatest(quiet, 5).shown.length).toBe(2);
});

test("the answer in words", () => {
  const format = (ns: number): string => `${ns} ns`;
  const c = parseComparison(answer);
  expect(verdict(c, format)).toBe("60 ns longer");
  expect(verdict({ ...c, difference: -60 }, format)).toBe("60 ns shorter");
  expect(verdict({ ...c, difference: 0 }, format)).toBe("as long");
  expect(verdict({ ...c, difference: 0, parts: [] }, format)).toBe("exactly as long");
  expect([ratio(100, 520), ratio(100, 200), ratio(100, 112), ratio(100, 50), ratio(100, 100), ratio(0, 5)]).toEqual(["5.2 times as long", "2 times as long", "by 12 %", "by 50 %", "", ""]);
  expect([signed(5, format), signed(-5, format), signed(0.2, format)]).toEqual(["+5 ns", "−5 ns", "0"]);
});

test("an answer of another kind is an empty one", () => {
  for (const odd of [undefined, null, 5, "x", [], { rows: 5, parts: {} }]) expect(parseComparison(odd).rows).toEqual([]);
});

test("the period before has the same length", () => {
  expect(rangeBefore({ from: "now-1h", to: "now" }, 0)).toEqual({ from: "now-2h", to: "now-1h" });
  expect(rangeBefore({ from: "1700000000000", to: "1700000060000" }, 0)).toEqual({ from: "1699999940000", to: "1700000000000" });
});
