import { expect, test } from "vitest";
import { describe, placeAt } from "./traceqlwords";

test.each([
  ["", "start"],
  ["{ ", "field"],
  ["{ name = \"}\" && ", "field"],
  ["{ } ", "after"],
  ["{ } | ", "stage"],
  ["{ } | ra", "stage"],
  ["{ a || b } ", "after"],
  ["{ } | by(", "field"],
  ["{ } | rate() ", "after"],
  ["{ } && { ", "field"],
  ["{ name = \"a | ", "field"],
  ["// a | \n{ ", "field"],
])("%j ends at the place %s", (text, want) => {
  expect(placeAt(text)).toBe(want);
});

test("words say what they mean", () => {
  expect(describe("quantile_over_time")).toContain("quantiles over time");
  expect(describe("kind")).toContain("server, client");
  expect(describe("childCount")).toContain("how many children");
  expect(describe("event")).toContain("one of its events");
  expect(describe("checkout")).toBeUndefined();
});
