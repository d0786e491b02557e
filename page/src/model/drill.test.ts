import { expect, test } from "vitest";
import { breakdownOf, brokenDown, conditionOf, examplesOf, narrowedBy, selectedFields, telling } from "./drill";

const compare = '{ kind = server } | compare({ status = error && span.user = "a = b" })';

test("a metrics query is narrowed in its filter", () => {
  expect(narrowedBy("{ } | rate()", "a = 1")).toBe("{ a = 1 } | rate()");
  expect(narrowedBy(compare, 'name = "x"')).toBe('{ kind = server && name = "x" } | compare({ status = error && span.user = "a = b" })');
  expect(narrowedBy("{ a } >> { b } | rate()", "c = 1")).toBeUndefined();
  expect(examplesOf(compare, "c = 1")).toBe("{ kind = server && c = 1 }");
});

test("a metrics query is broken down by an attribute", () => {
  expect(breakdownOf("{ } | rate() by (name)")).toBe("name");
  expect(breakdownOf("{ } | quantile_over_time(duration, .5, .9)")).toBe("");
  expect([breakdownOf(compare), breakdownOf("{ }"), breakdownOf("{ a } > { b } | rate()")]).toEqual([undefined, undefined, undefined]);
  expect(brokenDown("{ a = 1 } | rate()", "span.http.route")).toBe("{ a = 1 } | rate() by (span.http.route)");
  expect(brokenDown("{ } | quantile_over_time(duration, .5, .9) by (name) | topk(5)", "resource.x")).toBe("{ } | quantile_over_time(duration, .5, .9) by (resource.x) | topk(5)");
  expect(brokenDown("{ } | rate() by (name) with (exemplars=true)", "")).toBe("{ } | rate() with (exemplars=true)");
});

test("a value becomes a condition", () => {
  expect(conditionOf({ attribute: "status", value: "error" })).toBe("status = error");
  expect(conditionOf({ attribute: "name", value: 'a"b' }, true)).toBe('name != "a\\"b"');
  expect(conditionOf({ attribute: "span.code", value: "500" })).toBe('(span.code = 500 || span.code = "500")');
  expect(conditionOf({ attribute: "span.code", value: "500" }, true)).toBe('(span.code != 500 && span.code != "500")');
  expect(conditionOf({ attribute: "span.x", value: "nil" })).toBe("span.x = nil");
});

test("what says the selection again is left out", () => {
  expect(selectedFields(compare)).toEqual(["status", "span.user"]);
  const row = (attribute: string) => ({ attribute, value: "v", baseline: 0, selection: 1, baselineCount: 0, selectionCount: 5 });
  expect(telling(["status", "statusMessage", "span.user", "name", "resource.userx"].map(row), compare)).toEqual({ rows: [row("name"), row("resource.userx")], leftOut: ["status", "statusMessage", "span.user"] });
  expect(telling([row("traceDuration"), row("name")], "{ } | compare({ duration>=5ms && duration<=9ms })").leftOut).toEqual(["traceDuration"]);
});
