import { expect, test } from "vitest";
import { formatAge, formatAxis, formatClock, formatDuration, formatIn, formatPercent, formatRate, formatShare, formatTime, plural, setZone } from "./format";

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

test.each([
  [0, "0"],
  [12.345, "12.3/s"],
  [1, "1/s"],
  [0.5, "30/min"],
  [5 / 3600, "5/h"],
  [12_000, "12k/s"],
])("a rate of %d", (rate, want) => {
  expect(formatRate(rate)).toBe(want);
});

test.each([
  [0, "0%"],
  [1, "100%"],
  [0.123, "12%"],
  [0.0123, "1.2%"],
  [0.00001, "<0.01%"],
])("a share of %d", (share, want) => {
  expect(formatPercent(share)).toBe(want);
});

test("numbers with their unit", () => {
  expect(formatIn("seconds", 1.5)).toBe("1.5 s");
  expect(formatIn("bytes", 3 * 1024 * 1024)).toBe("3 MiB");
  expect([formatIn("number", 1_234_567), formatIn("number", 0.000_012), formatIn("number", NaN), formatIn("number", Infinity)]).toEqual(["1.23M", "1.2e-5", "–", "+Inf"]);
});

test("the labels of an axis share a unit", () => {
  expect(formatAxis("rate", [0, 0.5, 1])).toEqual(["0", "0.5/s", "1/s"]);
  expect(formatAxis("rate", [0, 0.05])).toEqual(["0", "3/min"]);
  expect(formatAxis("seconds", [0, 0.5, 1.5])).toEqual(["0", "0.5 s", "1.5 s"]);
  expect(formatAxis("seconds", [0, 0.002])).toEqual(["0", "2 ms"]);
});

test("times are shown in the chosen zone", () => {
  const ms = Date.UTC(2026, 10, 28, 22, 5, 9, 7);
  setZone("utc");
  expect(formatTime(ms)).toBe("2026-11-28 22:05:09.007");
  expect([formatClock(ms, 60_000), formatClock(ms, 1000), formatClock(ms, 86_400_000)]).toEqual(["22:05", "22:05:09", "11-28"]);
  const tick = Date.UTC(2026, 10, 28, 22, 5, 9, 250) - 0.0002;
  expect([formatClock(tick, 250), formatClock(tick, 200), formatClock(tick, 5), formatClock(tick + 750, 500)]).toEqual(["22:05:09.25", "22:05:09.3", "22:05:09.250", "22:05:10.0"]);
  setZone("local");
  const local = new Date(ms);
  expect(formatTime(ms).slice(11, 16)).toBe(`${String(local.getHours()).padStart(2, "0")}:${String(local.getMinutes()).padStart(2, "0")}`);
});
