import { expect, test } from "vitest";
import { random, randomTrace, traceOf } from "../testdata/traces";
import { answerFor, listing, percentages, percentOf, percentText } from "./answer";
import type { Trace } from "./trace";

/** What the page says of a trace, for the eye of a test. */
function said(t: Trace): string[] {
  const answer = answerFor(t);
  const { listed, percents } = listing(answer);
  return listed.map((p, i) => `${percentText(percents[i]!, p.share)} ${p.service} ${p.name}`.replace("  ", " "));
}

test.each([
  ["a - 0-100 web\nb a 5-98 db", ["93 % db b", "7 % web a"]],
  ["a - 0-100 web", ["100 % web a"]],
  ["a - 0-3 web\nb a 0-1 db\nc a 1-2 disk", ["33.4 % web a", "33.3 % db b", "33.3 % disk c"]],
  ["a - 0-10000 web\nb a 0-4 db", ["100 % web a", "<0.1 % db b"]],
  ["a - 5-5 web", []],
  ["", []],
  ["a - 0-10 web\nb - 90-100 web", ["80 % no span at all", "10 % web a", "10 % web b"]],
])("%s", (text, want) => {
  expect(said(traceOf(text))).toEqual(want);
});

test("a long answer ends in one line for all others, and its percentages still add up", () => {
  const spans = Array.from({ length: 40 }, (_, i) => `s${i} a ${i * 7}-${i * 7 + 7} db`).join("\n");
  const { listed, others, percents } = listing(answerFor(traceOf(`a - 0-280 web\n${spans}`)));
  expect([listed.length, others.length, percents.length]).toEqual([12, 28, 13]);
  expect(percents.reduce((a, b) => a + Math.round(10 * b), 0)).toBe(1000);
  expect(listing(answerFor(traceOf(`a - 0-280 web\n${spans}`)), 39).others).toHaveLength(0);
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

test.each([[0.931, "93.1 %"], [0.0741, "7.4 %"], [0.05, "5 %"], [0.0001, "<0.1 %"], [0, "0 %"], [1, "100 %"], [0.9999, "100 %"]])("%d is %s", (share, want) => {
  expect(percentOf(share)).toBe(want);
});
