import { expect, test } from "vitest";
import { addCondition, checkForm, emptyForm, formQuery, parseDuration, parseLimit } from "./query";

test.each([
  [{}, "{}"],
  [{ service: "uservice3" }, '{ resource.service.name="uservice3" }'],
  [{ service: ' a"b\\ ' }, '{ resource.service.name="a\\"b\\\\" }'],
  [{ tags: 'os.type="linux"' }, '{ .os.type="linux" }'],
  [{ tags: "process.pid=42 load=0.5 happened=true" }, "{ .process.pid=42 && .load=0.5 && .happened=true }"],
  [{ tags: 'code="200" flag="true" word=linux' }, '{ .code="200" && .flag="true" && .word="linux" }'],
  [{ tags: "resource.os.type=linux span.a=b .c=d" }, '{ resource.os.type="linux" && span.a="b" && .c="d" }'],
  [{ tags: "status=error kind=server" }, "{ status=error && kind=server }"],
  [{ tags: "error=true" }, "{ status=error }"],
  [{ tags: "span:duration=100ms" }, "{ span:duration=100ms }"],
  [{ tags: 'error="true"' }, '{ .error="true" }'],
  [{ tags: "os.type" }, "{ .os.type != nil }"],
  [{ tags: '"odd key"="v w"' }, '{ ."odd key"="v w" }'],
  [{ tags: "version=1.2.3 hex=0x10 range=1-2" }, '{ .version="1.2.3" && .hex="0x10" && .range="1-2" }'],
  [{ min: "100ms", max: "1.2s" }, "{ trace:duration>=100ms && trace:duration<=1.2s }"],
  [{ min: "1m30s" }, "{ trace:duration>=90s }"],
  [{ min: "20µs" }, "{ trace:duration>=20us }"],
  [
    { service: "uservice3", name: "redis_call", tags: 'os.type="linux"', min: "1s" },
    '{ resource.service.name="uservice3" && name="redis_call" && .os.type="linux" && trace:duration>=1s }',
  ],
])("form %o is %s", (fields, want) => {
  const form = { ...emptyForm, ...fields };
  expect(checkForm(form)).toEqual({});
  expect(formQuery(form)).toBe(want);
});

test.each([
  [{ tags: 'a="b' }, "tags", "quote at position 3"],
  [{ tags: "=b" }, "tags", "position 1"],
  [{ tags: "a=" }, "tags", "no value"],
  [{ min: "fast" }, "min", "length of time"],
  [{ min: "10" }, "min", "length of time"],
  [{ max: "1s 2s" }, "max", "length of time"],
  [{ min: "2s", max: "1s" }, "max", "less than"],
  [{ limit: "0" }, "limit", "whole number"],
  [{ limit: "2.5" }, "limit", "whole number"],
  [{ limit: "99999" }, "limit", "at most"],
] as const)("form %o complains about %s", (fields, field, want) => {
  const errors = checkForm({ ...emptyForm, ...fields });
  expect(Object.keys(errors)).toEqual([field]);
  expect(errors[field]).toContain(want);
});

test.each([
  ["0s", 0n],
  ["1.5ms", 1_500_000n],
  [".5s", 500_000_000n],
  ["1h2m3s", 3_723_000_000_000n],
  ["0.000000001s", 1n],
])("duration %s is %d ns", (text, want) => {
  expect(parseDuration(text)).toBe(want);
});

test("an empty limit is the default", () => {
  expect(parseLimit(" ")).toBe(20);
});

test.each([
  ["{}", '{ a="b" }'],
  ["", '{ a="b" }'],
  ['{ x="y" }', '{ x="y" && a="b" }'],
  ['{ a="b" && x="y" }', '{ a="b" && x="y" }'],
  ['{ x="y" } | count() > 2', '{ a="b" }'],
  ["{ x=1 || y=2 }", '{ (x=1 || y=2) && a="b" }'],
])("narrowing %s", (query, want) => {
  expect(addCondition(query, 'a="b"')).toBe(want);
});
