import { expect, test } from "vitest";
import { random, randomTrace, traceOf } from "../testdata/traces";
import { answerFor, percent, percentages, sentence } from "./answer";

const format = (ns: number): string => `${ns} ns`;

test.each([
  ["a - 0-100 web\nb a 5-98 db", "93 % of 100 ns is db b"],
  ["a - 0-100 web", "100 % of 100 ns is web a"],
  ["a - 5-5 web", "no time passed"],
  ["", "no spans"],
  ["a - 0-10 web\nb - 90-100 web", "80 % of 100 ns is no span at all"],
])("%s", (text, want) => {
  expect(sentence(traceOf(text), format)).toBe(want);
});

test("equal operations are one part, led by their longest span", () => {
  const t = traceOf("a - 0-100 web\nb a 0-10 db\nc a 10-40 db\nd a 40-60 db");
  const same = { ...t, nameIds: t.nameIds.map((n, i) => (i > 0 ? 1 : n)) };
  expect(answerFor(same).parts[0]).toMatchObject({ service: "db", time: 60, spans: 3, span: 2, share: 0.6 });
});

test("the parts of any trace add up to the whole, and their percentages to 100", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const { parts, whole } = answerFor(randomTrace(random(seed)));
    expect(parts.reduce((sum, p) => sum + p.time, 0), `seed ${seed}`).toBe(whole);
    if (whole > 0) expect(percentages(parts.map((p) => p.share)).reduce((a, b) => a + Math.round(10 * b), 0), `seed ${seed}`).toBe(1000);
  }
});

test.each([[0.931, "93 %"], [0.0741, "7.4 %"], [0.05, "5 %"], [0.0001, "<0.1 %"], [0, "0 %"], [1, "100 %"], [0.9999, "100 %"]])("%d is %s", (share, want) => {
  expect(percent(share)).toBe(want);
});
