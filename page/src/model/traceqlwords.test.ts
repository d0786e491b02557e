import { expect, test } from "vitest";
import { placeAt } from "./traceqlwords";

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
