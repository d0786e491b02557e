// Lines over time, by uPlot. This file and scatter.ts are the only ones that know it.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { dotAt } from "../layout/scatter";
import type { Theme } from "../model/colour";
import { formatAxis, formatClock, type Unit } from "../model/format";
import type { Exemplar } from "../model/series";
import type { CssPixels, UnixSeconds } from "../model/units";
import { inks } from "./canvas";
import { drawDot } from "./heatmap";

export interface Line {
  name: string;
  colour: string;
  values: (number | null)[];
  /** Lengths of dashes and gaps, for a line whose colour another one has as well. */
  dash?: number[];
  /** A thicker line, for the one that a reader points at. */
  strong?: boolean;
  /** A tint below the line. */
  fill?: boolean;
}

export interface PlotData {
  times: UnixSeconds[];
  lines: Line[];
  unit: Unit;
  exemplars: Exemplar[];
  from: UnixSeconds;
  to: UnixSeconds;
  /** Whether the vertical axis starts at 0, as it should for rates, shares and durations. */
  fromZero: boolean;
  theme: Theme;
}

export interface Hover {
  /** Into times; -1 where there is no value under the pointer. */
  index: number;
  /** Into exemplars; -1 for none. */
  exemplar: number;
  left: CssPixels;
  top: CssPixels;
}

export interface PlotHooks {
  hover: (hover: Hover | undefined) => void;
  /** A range was dragged out. */
  select: (from: UnixSeconds, to: UnixSeconds) => void;
  open: (exemplar: Exemplar) => void;
}

export interface Plot {
  resize(width: CssPixels, height: CssPixels): void;
  destroy(): void;
}

const font = "11px system-ui, sans-serif";
/** The cursors of all plots on the page move together, so that one moment can be read across them. */
const sync = uPlot.sync("etude");

/** Draws a plot into a host of the given size. Its data do not change: a new answer makes a new plot. */
export function createPlot(host: HTMLElement, data: PlotData, width: CssPixels, height: CssPixels, hooks: PlotHooks): Plot {
  let over = -1;
  const options: uPlot.Options = {
    width,
    height,
    padding: [10, 12, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: sync.key, setSeries: false },
      points: { size: 7 },
      drag: { x: true, y: false, setScale: false, dist: 8 },
      y: false,
      bind: { dblclick: () => null },
    },
    scales: {
      x: { time: true, range: () => [data.from, data.to] },
      y: { range: (_, min, max) => (data.fromZero ? fromZero(max, data) : uPlot.rangeNum(min, max, 0.1, true)) },
    },
    axes: [timeAxis(data.theme), { ...valueAxis(data.theme), values: (_, splits) => formatAxis(data.unit, splits) }],
    series: [{}, ...data.lines.map((line) => asSeries(line, data.theme))],
    hooks: {
      draw: [(u) => drawExemplars(u, data)],
      setCursor: [(u) => report(u)],
      setSelect: [(u) => select(u)],
    },
  };

  function report(u: uPlot): void {
    const { left = -1, top = -1, idx } = u.cursor;
    if (left < 0 || (top < 0 && idx == null)) return hooks.hover(undefined);
    const dots = data.exemplars.map((e, index) => ({ x: u.valToPos(e.time, "x"), y: u.valToPos(e.value, "y"), index }));
    over = top < 0 ? -1 : (dotAt(dots, left, top, 9)?.index ?? -1);
    u.over.style.cursor = over >= 0 ? "pointer" : "crosshair";
    hooks.hover({ index: idx ?? -1, exemplar: over, left: left + u.over.offsetLeft, top: top + u.over.offsetTop });
  }

  function select(u: uPlot): void {
    if (u.select.width < 8) return;
    hooks.select(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }

  const plot = new uPlot(options, [data.times, ...data.lines.map((l) => l.values)], host);
  plot.over.addEventListener("click", () => {
    const exemplar = data.exemplars[over];
    if (exemplar) hooks.open(exemplar);
  });
  return { resize: (w, h) => plot.setSize({ width: w, height: h }), destroy: () => plot.destroy() };
}

/** Room for the greatest value and, since they must be seen, for the exemplars. */
function fromZero(max: number, data: PlotData): [number, number] {
  const top = data.exemplars.reduce((a, e) => Math.max(a, e.value), Number.isFinite(max) ? max : 0);
  if (data.unit === "share") return [0, Math.min(1.02, Math.max(0.01, top * 1.15))];
  return [0, top > 0 ? top * 1.12 : 1];
}

export function timeAxis(theme: Theme): uPlot.Axis {
  const ink = inks[theme];
  return {
    stroke: ink.faint,
    font,
    space: 70,
    size: 28,
    gap: 6,
    grid: { stroke: ink.line, width: 1 },
    ticks: { show: false },
    values: (_, splits, __, ___, apart) => splits.map((s) => formatClock(s * 1000, apart * 1000)),
  };
}

export function valueAxis(theme: Theme): uPlot.Axis {
  const ink = inks[theme];
  return {
    stroke: ink.faint,
    font,
    size: 62,
    gap: 6,
    space: 34,
    grid: { stroke: ink.line, width: 1 },
    ticks: { show: false },
  };
}

function asSeries(line: Line, theme: Theme): uPlot.Series {
  return {
    label: line.name,
    stroke: line.colour,
    width: line.strong ? 3 : 1.75,
    spanGaps: false,
    ...(line.dash ? { dash: line.dash } : {}),
    ...(line.fill ? { fill: `${line.colour}${theme === "dark" ? "2e" : "1f"}` } : {}),
    // A lone value between gaps is a point, or it would not show at all.
    points: { show: (u, i) => isSparse(u.data[i] as (number | null)[]), size: 5, fill: line.colour },
  };
}

function isSparse(values: (number | null)[]): boolean {
  let known = 0;
  let alone = 0;
  values.forEach((v, i) => {
    if (v === null) return;
    known++;
    if ((values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null) alone++;
  });
  return known > 0 && alone * 3 > known;
}

function drawExemplars(u: uPlot, data: PlotData): void {
  const { ctx } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(u.bbox.left, u.bbox.top - 6, u.bbox.width, u.bbox.height + 12);
  ctx.clip();
  const scale = window.devicePixelRatio || 1;
  for (const e of data.exemplars) drawDot(ctx, u.valToPos(e.time, "x", true), u.valToPos(e.value, "y", true), data.theme, 4 * scale);
  ctx.restore();
}
