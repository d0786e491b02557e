import { expect, test } from "vitest";
import type { Result } from "../model/search";
import { buildTrace, type SpanData, type Trace } from "../model/trace";
import { barIn, clampView, fullView, isFull, panned, ticks, zoomed } from "./axis";
import { miniBars } from "./minimap";
import { collapseAll, collapseLevel, expandLevel, reveal, rowAt, rowTop, rowWindow, toggled, visibleRows } from "./rows";
import { dotAt, scatter } from "./scatter";
import { placeGraph } from "./servicegraph";

function span(id: string, parentId: string, start: number, end: number): SpanData {
  return {
    spanId: id, parentId, name: id, kind: "internal", start: BigInt(1000 + start), end: BigInt(1000 + end), traceState: "",
    statusCode: "unset", statusMessage: "", attributes: [], events: [], links: [],
    resource: { service: "s", attributes: [] }, scope: { name: "", version: "", attributes: [] },
  };
}

//  a
//  ├ b
//  │ └ c
//  └ d
//    └ e
//      └ f
const tree = buildTrace("t", [span("a", "", 0, 100), span("b", "a", 0, 40), span("c", "b", 10, 20), span("d", "a", 50, 90), span("e", "d", 50, 80), span("f", "e", 60, 70)]);

function shown(t: Trace, collapsed: Uint8Array): string {
  return [...visibleRows(t, collapsed)].map((i) => t.spans[i]!.name).join("");
}

test("collapsing and expanding, all and by level", () => {
  const none = new Uint8Array(tree.length);
  expect(shown(tree, none)).toBe("abcdef");
  expect(shown(tree, collapseAll(tree))).toBe("a");
  expect(shown(tree, toggled(none, 1))).toBe("abdef");
  const once = collapseLevel(tree, none);
  expect(shown(tree, once)).toBe("abcde");
  const twice = collapseLevel(tree, once);
  expect(shown(tree, twice)).toBe("abd");
  expect(shown(tree, collapseLevel(tree, collapseLevel(tree, twice)))).toBe("a");
  const opened = expandLevel(tree, collapseAll(tree));
  expect(shown(tree, opened)).toBe("abd");
  expect(shown(tree, expandLevel(tree, opened))).toBe("abcde");
  expect(shown(tree, expandLevel(tree, none))).toBe("abcdef");
  expect(shown(tree, reveal(tree, collapseAll(tree), 5))).toBe("abdef");
  expect(reveal(tree, none, 5)).toBe(none);
});

test("rows of unequal height: top and at are inverse", () => {
  const extras = [{ row: 1, height: 100 }, { row: 3, height: 50 }];
  expect([0, 1, 2, 3, 4].map((row) => rowTop(row, 20, extras))).toEqual([0, 20, 140, 160, 230]);
  for (const y of [0, 19, 20, 139, 140, 159, 160, 229, 230, 1e6]) {
    const row = rowAt(y, 5, 20, extras);
    expect(rowTop(row, 20, extras)).toBeLessThanOrEqual(y);
    if (row < 4) expect(rowTop(row + 1, 20, extras)).toBeGreaterThan(y);
  }
  expect(rowAt(-50, 5, 20, extras)).toBe(0);
});

test("only rows near the viewport are drawn", () => {
  expect(rowWindow(0, 400, 10_000, 20, [])).toEqual([0, 27]);
  expect(rowWindow(100_000, 400, 10_000, 20, [])).toEqual([4994, 5027]);
  expect(rowWindow(1e9, 400, 10_000, 20, [])).toEqual([9993, 10_000]);
  expect(rowWindow(0, 400, 0, 20, [])).toEqual([0, 0]);
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
  const many = buildTrace("t", [span("r", "", 0, 1e6), ...Array.from({ length: 20_000 }, (_, i) => span(`s${i}`, "r", i, i + 5))]);
  const bars = miniBars(many, 300, 50);
  expect(bars.length).toBeLessThan(15_001);
  expect(bars.length).toBeGreaterThan(50);
  for (const b of bars) expect(b.x >= 0 && b.width >= 1 && b.x + b.width <= 300.001 && b.y < 50).toBe(true);
  expect(miniBars(tree, 100, 48)[3]).toMatchObject({ x: 50, y: 24, width: 40 });
});

function result(start: number, duration: number): Result {
  return { id: String(start), rootService: "", rootName: "", start: BigInt(start) * 1_000_000n, duration, spanCount: 0, errorCount: 0 };
}

test("the scatter plot", () => {
  const plot = scatter([result(1000, 100), result(2000, 1800)], { left: 10, top: 0, width: 100, height: 50 });
  expect(plot.max).toBe(2000);
  expect(plot.dots.map((d) => [d.x, Math.round(d.y * 10) / 10])).toEqual([[10, 47.5], [110, 5]]);
  expect(dotAt(plot.dots, 105, 8)?.index).toBe(1);
  expect(dotAt(plot.dots, 60, 25)).toBeUndefined();
  expect(scatter([result(5, 0)], { left: 0, top: 0, width: 100, height: 50 }).dots[0]).toEqual({ x: 50, y: 50, index: 0 });
});

test("the service graph runs in the direction of the calls", () => {
  const node = (name: string) => ({ name, kind: "service" as const, amount: 1, errorShare: 0, duration: 0 });
  const call = (from: string, to: string) => ({ from, to, kind: "call" as const, amount: 1, errorShare: 0, duration: 0 });
  const graph = { nodes: [node("a"), node("b"), node("c")], edges: [call("a", "b"), call("b", "c"), call("c", "a"), call("a", "a")] };
  const wide = placeGraph(graph, false);
  expect(wide.nodes.map((n) => n.x)).toEqual([...wide.nodes.map((n) => n.x)].sort((x, y) => x - y));
  expect(wide.edges.every((e) => e.path.startsWith("M") && !e.path.includes("NaN"))).toBe(true);
  expect(placeGraph(graph, true).height).toBeGreaterThan(wide.height);
  expect(placeGraph({ nodes: [], edges: [] }, false).nodes).toEqual([]);
});
