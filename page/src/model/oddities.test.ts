import { expect, test } from "vitest";
import { traceOf } from "../testdata/traces";
import { deliberateError, oddSpan, oddTrace, skewWords } from "./oddities";
import { corrected } from "./skew";
import { spanAt, type Trace } from "./trace";

test.each([
  ["a - 0-100 x\nb a 10-50 y", []],
  ["b gone 10-50 y", ["The root span is not here"]],
  ["a - 0-100 x\nb gone 10-50 y", ["1 span names a parent that is not part"]],
  ["a - 0-100 x\nb - 10-50 y", ["The trace has 2 roots."]],
  ["a - 0-100 x\nb a 50-10 x\nc a 60-20 x", ["2 spans end before they start"]],
])("%s is called %j", (text, want) => {
  const found = oddTrace(traceOf(text));
  expect(found.length).toBe(want.length);
  want.forEach((w, i) => expect(found[i]).toContain(w));
});

function ofSpan(t: Trace, row: number): string {
  return oddSpan(t, row, spanAt(t, row)).join(" ");
}

test("a span that is odd says why", () => {
  expect(ofSpan(traceOf("a - 0-100 x\nb a 10-50 x"), 1)).toBe("");
  expect(ofSpan(traceOf("a - 0-100 x\nb a 50-10 x"), 1)).toContain("ends 40 ns before it starts");
  expect(ofSpan(traceOf("b gone 10-50 y"), 0)).toContain("is not part of the trace");
  expect(ofSpan(traceOf("a - 0-100 x\nb a 50-150 x"), 1)).toContain("outlives its parent by 50 ns");
  expect(ofSpan(traceOf("a - 0-100 x\nb a 120-150 x"), 1)).toContain("starts after its parent has ended");
  const t = traceOf("a - 0-100 x\nb a 500-550 y");
  const moved = { ...corrected(t)!, store: t.store };
  expect(ofSpan(moved, 1)).toContain("drawn 475 ns earlier than recorded");
  expect(skewWords(moved)).toEqual(["y (−475 ns)"]);
});

test("the demo's deliberate error is told from real ones", () => {
  const t = traceOf("a - 0-100 x error");
  expect(deliberateError({ ...spanAt(t, 0), statusMessage: "no error" })).toBe(true);
  expect(deliberateError({ ...spanAt(t, 0), statusMessage: "timeout" })).toBe(false);
});
