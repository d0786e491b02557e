import { expect, test } from "vitest";
import type { Result } from "../model/search";
import { runsOf } from "../model/inside";
import { nameOf, type Trace } from "../model/trace";
import { random, randomTrace, traceOf } from "../testdata/traces";
import { barIn, clampView, fullView, isFull, panned, ticks, zoomed } from "./axis";
import { miniBars } from "./minimap";
import { ownPieces } from "./ownbars";
import { collapseAll, collapseLevel, expandLevel, type Folds, noFolds, readFolds, reveal, rowWindow, toggled, toggledRun, visibleRows, withAncestors, writeFolds } from "./rows";
import { around, asConditions, dotAt, extent, logTicks, type Mark, marksOf, neighbour, spreadsWide } from "./scatter";
import { placeGraph } from "./servicegraph";

//  a
//  ├ b
//  │ └ c
//  └ d
//    └ e
//      └ f
const tree = traceOf("a - 0-100\nb a 0-40\nc b 10-20\nd a 50-90\ne d 50-80\nf e 60-70");
const runs = runsOf(tree);

function rowsOf(t: Trace, folds: Folds): Int32Array {
  return visibleRows(t, folds, runsOf(t));
}

function shown(t: Trace, folds: Folds): string {
  return [...rowsOf(t, folds)].map((i) => nameOf(t, i)).join("");
}

test("collapsing and expanding, all and by level", () => {
  const none = noFolds(tree);
  const deeper = (folds: Folds): Folds => collapseLevel(tree, folds, rowsOf(tree, folds));
  const wider = (folds: Folds): Folds => expandLevel(tree, folds, rowsOf(tree, folds));
  expect(shown(tree, none)).toBe("abcdef");
  expect(shown(tree, collapseAll(tree))).toBe("a");
  expect(shown(tree, toggled(none, 1))).toBe("abdef");
  const once = deeper(none);
  expect(shown(tree, once)).toBe("abcde");
  const twice = deeper(once);
  expect(shown(tree, twice)).toBe("abd");
  expect(shown(tree, deeper(deeper(twice)))).toBe("a");
  const opened = wider(collapseAll(tree));
  expect(shown(tree, opened)).toBe("abd");
  expect(shown(tree, wider(opened))).toBe("abcde");
  expect(shown(tree, wider(none))).toBe("abcdef");
  expect(shown(tree, reveal(tree, collapseAll(tree), runs, 5))).toBe("abdef");
  expect(reveal(tree, none, runs, 5)).toBe(none);
});

const repeated = buildRepeated();

/** A root with a first child, 48 equal ones of which the third has a child, and a last one. */
function buildRepeated(): Trace {
  const equal = Array.from({ length: 48 }, (_, i) => `s${i} r ${10 + i}-${11 + i} db`);
  return traceOf(["r - 0-100", "first r 1-2", ...equal, "below s2 12-13", "last r 90-95"].join("\n"));
}

test("equal siblings fold into one row", () => {
  // Every span of repeated has a name of its own, so give the 48 one name.
  const t = { ...repeated, nameIds: repeated.nameIds.map((n, i) => (repeated.parents[i] === 0 && nameOf(repeated, i).startsWith("s") ? 999 : n)) };
  const of = runsOf(t);
  expect([of.counts[2], of.ends[2], of.heads[3]]).toEqual([48, 51, 2]);
  expect([...visibleRows(t, noFolds(t), of)]).toEqual([0, 1, 2, 51]);
  expect(visibleRows(t, toggledRun(noFolds(t), 2), of).length).toBe(52);
  expect(visibleRows(t, reveal(t, noFolds(t), of, 5), of).length).toBe(52);
  expect(reveal(t, noFolds(t), of, 2).openRuns.size).toBe(0);
  const matches = new Uint8Array(t.length);
  matches[5] = 1;
  expect([...visibleRows(t, noFolds(t), of, withAncestors(t, matches))]).toEqual([0, 4, 5]);
});

test("folds read as they were written", () => {
  const folds = toggledRun(toggled(noFolds(tree), 1), 3);
  expect(writeFolds(tree, folds)).toBe("1.+3");
  expect(readFolds(tree, "1.+3")).toEqual(folds);
  expect(writeFolds(tree, collapseAll(tree))).toBe("all");
  expect(readFolds(tree, "all")).toEqual(collapseAll(tree));
  expect(readFolds(tree, "zzz.-1.c.2.+zz")).toEqual(noFolds(tree));
  expect(writeFolds(tree, noFolds(tree))).toBe("");
});

test.each([
  ["a lone span works all the time", "a - 0-100", "0-100"],
  ["around children", "a - 0-100\nb a 20-40\nc a 30-60", "0-20 60-100"],
  ["a child that covers all", "a - 0-100\nb a 0-100", ""],
  ["children outside", "a - 0-100\nb a 90-150", "0-90"],
])("own time: %s", (_, text, want) => {
  const t = traceOf(text);
  const pieces = ownPieces(t, 0, { from: 0, to: 100 }, 1000);
  expect(pieces.map((p) => `${Math.round(p.left * 100)}-${Math.round((p.left + p.width) * 100)}`).join(" ")).toBe(want);
});

test("the pieces of own time add up to the own time", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const t = randomTrace(random(seed));
    const sum = ownPieces(t, 0, { from: 0, to: Math.max(1, t.duration) }, 1e9).reduce((a, p) => a + p.width * Math.max(1, t.duration), 0);
    expect(sum, `seed ${seed}`).toBeCloseTo(t.selfTimes[0]!, 3);
  }
});

test("only rows near the viewport are drawn", () => {
  expect(rowWindow(0, 400, 10_000, 20)).toEqual([0, 27]);
  expect(rowWindow(100_000, 400, 10_000, 20)).toEqual([4994, 5027]);
  expect(rowWindow(1e9, 400, 10_000, 20)).toEqual([9993, 10_000]);
  expect(rowWindow(0, 400, 0, 20)).toEqual([0, 0]);
});

test("views stay inside the trace and never become empty", () => {
  expect(fullView(0)).toEqual({ from: 0, to: 1 });
  expect(clampView(80, 20, 100)).toEqual({ from: 20, to: 80 });
  expect(clampView(-10, 500, 100)).toEqual({ from: 0, to: 100 });
  for (const v of [clampView(5, 5, 100), clampView(100, 100, 100), clampView(400, 500, 100), zoomed(fullView(100), 1e-9, 100)]) {
    expect(v.to).toBeGreaterThan(v.from);
    expect(v.from).toBeGreaterThanOrEqual(0);
    expect(v.to).toBeLessThanOrEqual(100);
  }
  expect(panned({ from: 20, to: 40 }, 0.5, 100)).toEqual({ from: 30, to: 50 });
  expect(panned({ from: 20, to: 40 }, -5, 100)).toEqual({ from: 0, to: 20 });
  expect(panned({ from: 20, to: 40 }, 50, 100)).toEqual({ from: 80, to: 100 });
  expect(isFull(zoomed({ from: 20, to: 40 }, 100, 100), 100)).toBe(true);
});

test("bars are clipped to the view", () => {
  const view = { from: 100, to: 200 };
  expect(barIn(view, 100, 50)).toEqual({ left: 0, width: 0.5 });
  expect(barIn(view, 50, 100)).toEqual({ left: 0, width: 0.5 });
  expect(barIn(view, 0, 1000)).toEqual({ left: 0, width: 1 });
  expect(barIn(view, 150, 0)).toEqual({ left: 0.5, width: 0 });
  expect(barIn(view, 0, 99)).toBeUndefined();
  expect(barIn(view, 201, 5)).toBeUndefined();
});

test.each([
  [0, 1.62e9, 600, ["0", "500 ms", "1 s", "1.5 s"]],
  [0, 1, 600, ["0", "1 ns"]],
  [1.0001e9, 1.0002e9, 400, ["1.00010 s", "1.00015 s", "1.00020 s"]],
  [0, 3600e9, 300, ["0", "33m 20s"]],
])("ticks from %d to %d ns over %d px", (from, to, width, want) => {
  expect(ticks({ from, to }, width).map((t) => t.label)).toEqual(want);
});

test("the minimap draws few bars for many spans, and none outside", () => {
  const many = traceOf(["r - 0-1000000", ...Array.from({ length: 20_000 }, (_, i) => `s${i} r ${i}-${i + 5}`)].join("\n"));
  const bars = miniBars(many, 300, 50);
  expect(bars.length).toBeLessThan(15_001);
  expect(bars.length).toBeGreaterThan(50);
  for (const b of bars) expect(b.x >= 0 && b.width >= 1 && b.x + b.width <= 300.001 && b.y < 50).toBe(true);
  expect(miniBars(tree, 100, 48)[3]).toMatchObject({ x: 50, y: 24, width: 40 });
});

function result(start: number, duration: number): Result {
  return { id: String(start), rootService: "", rootName: "", start: BigInt(start) * 1_000_000n, duration, spanCount: 0, errorCount: 0, spans: [], spanTotal: 0 };
}

test("the marks of the scatter plot are in order of time and keep their results", () => {
  const found = marksOf([result(2000, 1800), { ...result(1000, 100), errorCount: 2, rootService: "web" }, result(1500, 0)]);
  expect(found.map((m) => [m.index, m.time, m.duration, m.failed])).toEqual([[1, 1, 0.1, true], [2, 1.5, 0.0005, false], [0, 2, 1.8, false]]);
  const dots = found.map((m, index) => ({ x: 100 * m.time, y: 10 * m.duration, index }));
  expect([dotAt(dots, 105, 8)?.index, dotAt(dots, 60, 25)]).toEqual([0, undefined]);
});

test("the axes of the scatter plot show every mark, also a lone one and one that took no time", () => {
  for (const found of [[result(1000, 10), result(2000, 1000)], [result(5, 0)], [result(1000, 100), result(1000, 100)], [result(1, 1), result(2, 1e7)], []]) {
    const marks = marksOf(found);
    for (const log of [false, true]) {
      const shown = extent(marks, log);
      expect(marks.every((m) => shown.from < m.time && m.time < shown.to && shown.min <= m.duration && m.duration <= shown.max), JSON.stringify(shown)).toBe(true);
      if (!log) continue;
      const ticks = logTicks(shown, 5);
      expect([shown.min, shown.max].every((v) => /^[125](e|$)/.test(v.toExponential())), JSON.stringify(shown)).toBe(true);
      expect(ticks.length >= 2 && ticks.length <= 5 && shown.min <= ticks[0]! && ticks.at(-1)! <= shown.max, JSON.stringify(ticks)).toBe(true);
    }
  }
  expect(logTicks({ from: 0, to: 1, min: 0.1, max: 1 }, 5)).toEqual([0.1, 0.2, 0.5, 1]);
  expect(logTicks({ from: 0, to: 1, min: 0.002, max: 20 }, 5)).toEqual([0.01, 0.1, 1, 10]);
  expect(logTicks({ from: 0, to: 1, min: 1e-7, max: 20 }, 5)).toEqual([1e-7, 1e-5, 1e-3, 0.1, 10]);
  expect(spreadsWide(marksOf([result(1000, 10), result(2000, 1000), result(3, 11), result(4, 12)]))).toBe(true);
  expect(spreadsWide(marksOf([result(1000, 10), result(2000, 1000)]))).toBe(false);
});

test("conditions of a region keep the marks at its edges", () => {
  const now = 1_764_409_800_123;
  const [a, b] = marksOf([result(now, 7), result(now + 1001, 1234)]) as [Mark, Mark];
  expect(asConditions(around(b, a))).toEqual({ from: now, to: now + 1001, min: 7, max: 1235 });
  expect(asConditions({ from: 1.0004, to: 2.0004, min: 0.0125, max: 0.0301 })).toEqual({ from: 1000, to: 2001, min: 12, max: 31 });
});

test("keys move by time and by duration, and stop at the ends", () => {
  const marks = marksOf([result(1, 30), result(2, 10), result(3, 20), result(4, 20)]);
  const walk = (keys: string[]): (number | undefined)[] => {
    let at = 0;
    return keys.map((key) => (at = neighbour(marks, at, key) ?? at));
  };
  expect(walk(["ArrowLeft", "ArrowRight", "ArrowRight", "End", "ArrowRight", "Home"])).toEqual([0, 1, 2, 3, 3, 0]);
  expect(walk(["ArrowUp", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp"])).toEqual([0, 3, 2, 1, 1, 2]);
  expect(neighbour(marks, 0, "x")).toBeUndefined();
});

test("the service graph runs in the direction of the calls", () => {
  const node = (name: string) => ({ name, kind: "service" as const, amount: 1, count: 1, errorShare: 0, duration: 0 });
  const call = (from: string, to: string) => ({ from, to, kind: "call" as const, amount: 1, count: 1, errorShare: 0, duration: 0 });
  const graph = { nodes: [node("a"), node("b"), node("c")], edges: [call("a", "b"), call("b", "c"), call("c", "a"), call("a", "a")] };
  const wide = placeGraph(graph, false);
  expect(wide.nodes.map((n) => n.x)).toEqual([...wide.nodes.map((n) => n.x)].sort((x, y) => x - y));
  expect(wide.edges.every((e) => e.path.startsWith("M") && !e.path.includes("NaN"))).toBe(true);
  const both = placeGraph({ ...graph, edges: [call("a", "b"), { ...call("a", "b"), kind: "message" as const }] }, false).edges;
  expect(both[0]!.path).not.toBe(both[1]!.path);
  expect(placeGraph(graph, true).height).toBeGreaterThan(wide.height);
  expect(placeGraph({ nodes: [], edges: [] }, false).nodes).toEqual([]);
});

test("beside a vertical edge there is room for its figures and their error share", () => {
  const node = (name: string) => ({ name, kind: "service" as const, amount: 1, count: 1, errorShare: 0, duration: 0 });
  const call = (from: string, to: string, errorShare = 0) => ({ from, to, kind: "call" as const, amount: 1, count: 1, errorShare, duration: 0 });
  const nodes = ["a", "b", "c", "d"].map(node);
  const room = (share: number): number => {
    const placed = placeGraph({ nodes, edges: [call("a", "b"), call("b", "c"), call("a", "c", share), call("a", "d"), call("d", "c")] }, true);
    const { labelX, labelY } = placed.edges[2]!;
    const right = placed.nodes.filter((n) => Math.abs(n.y - labelY) < n.height / 2 + 17 && n.x > labelX).map((n) => n.x - n.width / 2 - labelX);
    expect(right.length).toBeGreaterThan(0);
    return Math.min(...right);
  };
  expect(room(0)).toBeGreaterThan(42);
  expect(room(0.5)).toBeGreaterThan(75);
  expect(room(0.5)).toBeGreaterThan(room(0));
});
