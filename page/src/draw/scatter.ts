// Durations over time by uPlot, one mark a trace: a dot in the colour of its service, or a triangle in that of errors.

import uPlot from "uplot";
import { asConditions, type Dot, dotAt, extent, logTicks, type Mark, type Region } from "../layout/scatter";
import { serviceColour, type Theme } from "../model/colour";
import { formatAxis, formatIn } from "../model/format";
import type { CssPixels } from "../model/units";
import { inks } from "./canvas";
import { timeAxis, valueAxis } from "./plot";

/** What was dragged out: a box, or a band over the whole of the other axis. */
export type Brushed = Partial<ReturnType<typeof asConditions>>;

export interface ScatterHooks {
  hover: (mark: Mark | undefined) => void;
  select: (brushed: Brushed) => void;
  open: (mark: Mark) => void;
  /** The marks were painted: place has new answers. */
  drawn: () => void;
}

export interface ScatterPlot {
  /** Shows other marks on axes that fit them. */
  update(marks: Mark[]): void;
  resize(width: CssPixels, height: CssPixels): void;
  /** Where a mark is, from the left and upper edge of the host. */
  place(mark: Mark): { left: CssPixels; top: CssPixels };
  /** Marks a region as a brush does, or none. */
  outline(region: Region | undefined): void;
  destroy(): void;
}

/** The marks have to be in order of time. */
export function createScatter(host: HTMLElement, first: Mark[], log: boolean, theme: Theme, width: CssPixels, height: CssPixels, hooks: ScatterHooks): ScatterPlot {
  let marks = first;
  let shown = extent(marks, log);
  let dots: Dot[] = [];
  const linear = { values: (_: uPlot, splits: number[]) => formatAxis("seconds", splits) };
  const logarithmic = { splits: () => logTicks(shown, Math.floor(height / 34)), filter: (_: uPlot, splits: number[]) => splits, values: (_: uPlot, splits: number[]) => splits.map((s) => formatIn("seconds", s)) };
  const plot = new uPlot({
    width,
    height,
    padding: [10, 32, 0, 0],
    legend: { show: false },
    cursor: {
      points: { show: false },
      x: false,
      y: false,
      // A drag that goes one way alone selects a band: times of any duration, or durations of any time.
      drag: { x: true, y: true, uni: 24, dist: 6, setScale: false },
      bind: { dblclick: () => null },
    },
    scales: {
      x: { time: true, range: () => [shown.from, shown.to] },
      y: { distr: log ? 3 : 1, range: () => [shown.min, shown.max] },
    },
    axes: [timeAxis(theme), { ...valueAxis(theme), ...(log ? logarithmic : linear) }],
    series: [{}, { paths: () => null, points: { show: false } }],
    hooks: {
      draw: [(u) => { dots = draw(u, marks, theme); hooks.drawn(); }],
      setCursor: [(u) => point(u)],
      setSelect: [(u) => select(u)],
    },
  }, columns(marks), host);

  function point(u: uPlot): void {
    const { left = -1, top = -1 } = u.cursor;
    const found = left < 0 ? undefined : dotAt(dots, left, top);
    u.over.style.cursor = found ? "pointer" : "crosshair";
    hooks.hover(found && marks[found.index]);
  }

  function select(u: uPlot): void {
    const { left, top, width, height } = u.select;
    if (width < 4 || height < 4) return;
    const [wide, high] = [width >= u.over.clientWidth - 1, height >= u.over.clientHeight - 1];
    const all = asConditions({ from: u.posToVal(left, "x"), to: u.posToVal(left + width, "x"), min: u.posToVal(top + height, "y"), max: u.posToVal(top, "y") });
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (wide && high) return;
    hooks.select({ ...(wide ? {} : { from: all.from, to: all.to }), ...(high ? {} : { min: all.min, max: all.max }) });
  }

  plot.over.addEventListener("click", (event) => {
    const mark = marks[dotAt(dots, event.offsetX, event.offsetY)?.index ?? -1];
    if (mark) hooks.open(mark);
  });

  // uPlot knows the mouse alone. A finger that moves sideways selects times; one that moves up or down scrolls the page.
  const { over } = plot;
  let began: CssPixels | undefined;
  const touched = (event: PointerEvent, then: () => void): void => {
    if (event.pointerType === "touch") then();
  };
  over.style.touchAction = "pan-y";
  over.addEventListener("pointerdown", (event) => touched(event, () => (began = event.offsetX)));
  over.addEventListener("pointermove", (event) => touched(event, () => {
    if (began === undefined) return;
    const [left, right] = [Math.max(0, Math.min(began, event.offsetX)), Math.min(over.clientWidth, Math.max(began, event.offsetX))];
    plot.setSelect({ left, top: 0, width: right - left, height: over.clientHeight }, false);
  }));
  over.addEventListener("pointerup", (event) => touched(event, () => {
    if (began !== undefined && Math.abs(event.offsetX - began) > 12) select(plot);
    began = undefined;
  }));
  over.addEventListener("pointercancel", (event) => touched(event, () => {
    began = undefined;
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }));

  return {
    update(next) {
      marks = next;
      shown = extent(marks, log);
      plot.setData(columns(marks));
    },
    resize: (w, h) => {
      if (w !== plot.width || h !== plot.height) plot.setSize({ width: w, height: h });
    },
    place: (mark) => ({ left: plot.valToPos(mark.time, "x") + plot.over.offsetLeft, top: plot.valToPos(mark.duration, "y") + plot.over.offsetTop }),
    outline(region) {
      const at = region && { left: plot.valToPos(region.from, "x") - 7, top: plot.valToPos(region.max, "y") - 7 };
      plot.setSelect(at ? { ...at, width: plot.valToPos(region.to, "x") + 7 - at.left, height: plot.valToPos(region.min, "y") + 7 - at.top } : { left: 0, top: 0, width: 0, height: 0 }, false);
    },
    destroy: () => plot.destroy(),
  };
}

function columns(marks: Mark[]): [number[], number[]] {
  return [marks.map((m) => m.time), marks.map((m) => m.duration)];
}

/**
 * Paints the marks and returns where they are. Errors come last, so that no dot hides one. Each dot is filled alone: a
 * path of thousands of circles that overlap takes three times as long.
 */
function draw(u: uPlot, marks: Mark[], theme: Theme): Dot[] {
  const { ctx, bbox } = u;
  const scale = window.devicePixelRatio || 1;
  const dots: Dot[] = [];
  const failed = new Path2D();
  ctx.save();
  ctx.globalAlpha = 0.8;
  marks.forEach((m, index) => {
    const [x, y] = [u.valToPos(m.time, "x", true), u.valToPos(m.duration, "y", true)];
    dots.push({ x: (x - bbox.left) / scale, y: (y - bbox.top) / scale, index });
    if (m.failed) return triangle(failed, x, y, 5.5 * scale);
    ctx.fillStyle = serviceColour(m.service, theme);
    ctx.beginPath();
    ctx.arc(x, y, 4 * scale, 0, 2 * Math.PI);
    ctx.fill();
  });
  ctx.globalAlpha = 1;
  ctx.fillStyle = inks[theme].error;
  ctx.fill(failed);
  ctx.strokeStyle = theme === "dark" ? "#151a21" : "#ffffff";
  ctx.lineWidth = scale;
  ctx.stroke(failed);
  ctx.restore();
  return dots;
}

function triangle(path: Path2D, x: number, y: number, size: number): void {
  path.moveTo(x, y - size);
  path.lineTo(x + size, y + 0.8 * size);
  path.lineTo(x - size, y + 0.8 * size);
  path.closePath();
}
