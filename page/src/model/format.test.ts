import { expect, test } from "vitest";
import { formatAge, formatDuration, formatShare, plural } from "./format";

test.each([
  [0, "0 ns"],
  [45, "45 ns"],
  [999, "999 ns"],
  [999.9, "1 µs"],
  [12_345, "12.3 µs"],
  [1_000_000, "1 ms"],
  [152_400_000, "152 ms"],
  [999_960_000, "1 s"],
  [1_620_000_000, "1.62 s"],
  [59_990_000_000, "60 s"],
  [60_000_000_000, "1m 00s"],
  [125_000_000_000, "2m 05s"],
  [3_725_000_000_000, "1h 02m"],
  [-1_500_000, "-1.5 ms"],
])("%d ns is %s", (ns, want) => {
  expect(formatDuration(ns)).toBe(want);
});

test.each([
  [0, 0, ""],
  [1, 8, "13%"],
  [1, 80, "1.3%"],
  [80, 80, "100%"],
])("%d of %d is %s", (part, whole, want) => {
  expect(formatShare(part, whole)).toBe(want);
});

test("ages and plurals", () => {
  expect(formatAge(0, 59_000)).toBe("59s ago");
  expect(formatAge(0, 7_260_000)).toBe("2h ago");
  expect(formatAge(1000, 0)).toBe("0s ago");
  expect(plural(1, "span")).toBe("1 span");
  expect(plural(2000, "trace")).toBe("2,000 traces");
});
