import { expect, test } from "vitest";
import { type RedAnswers, serviceRows, sortRows, spanRows } from "./red";

const s = (value: number, labels: Record<string, string>) => ({ labels, time: 0, value });

test("the rows of services join their answers", () => {
  const answers: RedAnswers = { count: [s(120, { service: "a" })], rate: [s(2, { service: "a" }), s(1, { service: "b" }), s(1, {})], errors: [s(0.5, { service: "b" })], p50: [s(NaN, { service: "a" })], p95: [s(0.2, { service: "a" })], p99: [] };
  const rows = serviceRows(answers, [{ labels: { service: "b" }, times: [0, 15, 45], values: [1, 2, 3] }]);
  expect(rows).toEqual([
    { name: "a", count: 120, rate: 2, errors: 0, p50: undefined, p95: 0.2, p99: undefined, trend: [] },
    { name: "b", count: 0, rate: 1, errors: 0.5, p50: undefined, p95: undefined, p99: undefined, trend: [1, 2, null, 3] },
  ]);
  expect(sortRows(rows, "p95", false).map((r) => r.name)).toEqual(["a", "b"]);
  expect(sortRows(rows, "p95", true).map((r) => r.name)).toEqual(["a", "b"]);
  expect(sortRows(rows, "errors", true).map((r) => r.name)).toEqual(["b", "a"]);
  expect(sortRows(rows, "name", true).map((r) => r.name)).toEqual(["b", "a"]);
});

test("the rows of spans are told apart by their kind", () => {
  const span = (kind: string) => ({ span_name: "GET", span_kind: kind });
  const rows = spanRows({ count: [s(8, span("SPAN_KIND_SERVER"))], rate: [s(4, span("SPAN_KIND_SERVER")), s(2, span("SPAN_KIND_CLIENT"))], errors: [s(1, span("SPAN_KIND_SERVER"))], p50: [], p95: [], p99: [] });
  expect(rows.map((r) => `${r.name} ${r.kind} ${r.count} ${r.rate} ${r.errors}`)).toEqual(["GET server 8 4 0.25", "GET client 0 2 0"]);
});
