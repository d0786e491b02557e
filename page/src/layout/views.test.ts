import { expect, test } from "vitest";
import { criticalPercents, groupSpans, ownPercents, parseSort, sortGroups, sortSpans } from "../model/table";
import { answerFor } from "../model/answer";
import { sequenceOf, toMermaid } from "../model/sequence";
import { nameOf } from "../model/trace";
import { random, randomTrace, traceOf } from "../testdata/traces";
import { flameByName, flameOverTime } from "./flame";
import { sequenceSvg } from "./sequence";

const t = traceOf("a - 0-100 web\nb a 10-40 db error\nc a 20-90 db\nd c 30-60 disk");
const all = Int32Array.from([0, 1, 2, 3]);

test("the table sorts spans and gathers them", () => {
  expect([...sortSpans(t, all, "duration", true)].map((i) => nameOf(t, i)).join("")).toBe("acbd");
  expect([...sortSpans(t, all, "service", false)].map((i) => nameOf(t, i)).join("")).toBe("bcda");
  const groups = sortGroups(groupSpans(t, all, "service"), "total", true);
  expect(groups.map((g) => [g.service, g.count, g.errors, g.total, g.own, g.p95, g.max, g.critical])).toEqual([
    ["db", 2, 1, 100, 70, 70, 70, 40],
    ["web", 1, 0, 100, 20, 100, 100, 30],
    ["disk", 1, 0, 30, 30, 30, 30, 30],
  ]);
  expect(groupSpans(t, all, "name")).toHaveLength(4);
  expect(parseSort("-own", ["own", "start"] as const, "start")).toEqual({ key: "own", descending: true });
  expect(parseSort("nothing", ["own", "start"] as const, "start")).toEqual({ key: "start", descending: false });
});

const tenths = (percents: number[]): number => percents.reduce((sum, p) => sum + Math.round(10 * p), 0);

test("the services' shares of a trace add up to 100.0, whatever the filter hides", () => {
  expect(criticalPercents(t, sortGroups(groupSpans(t, all, "service"), "critical", true))).toEqual({ groups: [40, 30, 30], other: 0 });
  const thirds = traceOf("a - 0-3 web\nb a 0-1 db\nc a 1-2 disk");
  const groups = groupSpans(thirds, Int32Array.from([0, 1, 2]), "service");
  expect(criticalPercents(thirds, groups)).toEqual({ groups: [33.4, 33.3, 33.3], other: 0 });
  expect(ownPercents(groups)).toEqual([33.4, 33.3, 33.3]);
  expect(criticalPercents(thirds, groups.slice(1))).toEqual({ groups: [33.4, 33.3], other: 33.3 });
  const gap = traceOf("a - 0-10 web\nb - 90-100 web");
  expect(criticalPercents(gap, groupSpans(gap, Int32Array.from([0, 1]), "service"))).toEqual({ groups: [20], other: 80 });
  const still = traceOf("a - 5-5 web");
  expect(criticalPercents(still, groupSpans(still, Int32Array.from([0]), "service"))).toEqual({ groups: [0], other: 0 });
  for (let seed = 1; seed <= 200; seed++) {
    const trace = randomTrace(random(seed));
    if (answerFor(trace).whole === 0) continue;
    const some = Int32Array.from({ length: trace.length }, (_, i) => i).filter((i) => seed % 2 === 0 || i % 3 !== 0);
    for (const by of ["service", "name"] as const) {
      const found = groupSpans(trace, some, by);
      const { groups, other } = criticalPercents(trace, found);
      expect(tenths([...groups, other]), `seed ${seed}, ${by}`).toBe(1000);
      if (found.some((g) => g.own > 0)) expect(tenths(ownPercents(found)), `seed ${seed}, own, ${by}`).toBe(1000);
    }
  }
});

test("in the flame graph over time nothing overlaps, and children stand below their parents", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const { blocks } = flameOverTime(randomTrace(random(seed)));
    for (const [k, b] of blocks.entries()) {
      if (b.parent >= 0) expect(b.lane, `seed ${seed}`).toBeGreaterThan(blocks[b.parent]!.lane);
      for (const other of blocks.slice(k + 1)) expect(b.lane !== other.lane || b.to <= other.from || other.to <= b.from || b.from === b.to || other.from === other.to, `seed ${seed}: ${b.span} and ${other.span}`).toBe(true);
    }
  }
});

test("in the flame graph by name the parts add up", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const trace = randomTrace(random(seed));
    const { blocks, width } = flameByName(trace);
    expect(blocks.reduce((n, b) => n + b.count, 0)).toBe(trace.length);
    expect(width).toBeCloseTo(Math.max(1, trace.selfTimes.reduce((a, b) => a + b, 0)), 3);
    for (const [k, b] of blocks.entries()) {
      const inside = blocks.filter((c) => c.parent === k);
      expect(b.to - b.from, `seed ${seed}`).toBeCloseTo(b.own + inside.reduce((sum, c) => sum + c.to - c.from, 0), 3);
    }
  }
});

test("the sequence of calls, in order of time", () => {
  const s = sequenceOf(t);
  expect(s.participants).toEqual(["caller", "web", "db", "disk"]);
  expect(s.messages.map((m) => `${m.time} ${s.participants[m.from]}>${s.participants[m.to]} ${m.type}${m.error ? "!" : ""}`)).toEqual([
    "0 caller>web call", "10 web>db call", "20 web>db call", "30 db>disk call", "40 db>web answer!", "60 disk>db answer", "90 db>web answer", "100 web>caller answer",
  ]);
  expect(toMermaid(s).split("\n").slice(0, 7)).toEqual(["sequenceDiagram", "  participant p0 as caller", "  participant p1 as web", "  participant p2 as db", "  participant p3 as disk", "  p0->>+p1: a", "  p1->>+p2: b"]);
  expect(toMermaid(s)).toContain("  p2--x-p1: 30 ns (error)");
});

test("a diagram carries no markup of its names", () => {
  const s = { ...sequenceOf(t), participants: ["<script>", "a&b", "c\u202ed", "e"] };
  const svg = sequenceSvg(s, () => "#123456", { text: "#000", faint: "#777", line: "#ccc", error: "#c00", panel: "#fff" });
  expect(svg).not.toContain("<script");
  expect(svg).toContain("c⟨U+202E⟩d");
  expect(toMermaid({ participants: ["a;b"], messages: [], omitted: 0 })).toContain("a#59;b");
});

test("a diagram fills the room it gets, up to a limit, and is never narrower than its names need", () => {
  const s = { participants: ["a", "b", "c", "d"], messages: [], omitted: 0 };
  const width = (room: number): number => Number(/width="(\d+)"/.exec(sequenceSvg(s, () => undefined, { text: "#000", faint: "#777", line: "#ccc", error: "#c00", panel: "#fff" }, room))![1]);
  const least = width(0);
  expect(width(least - 100)).toBe(least);
  expect(width(1400)).toBe(1400);
  expect(width(5000)).toBe(width(4000));
  expect(width(5000)).toBeLessThan(2000);
});

test("a long trace is cut, and says so", () => {
  const lines = ["r - 0-100000 s0", ...Array.from({ length: 400 }, (_, i) => `x${i} r ${i}-${i + 1} s${1 + (i % 3)}`)];
  expect(sequenceOf(traceOf(lines.join("\n"))).omitted).toBe(251);
});
