// Paints a heat map of durations on canvas.

import { type Box, type Cell, cellBox, exemplarAt, type Heat, type Span, strength } from "../layout/heatmap";
import type { Theme } from "../model/colour";
import { formatClock, formatIn } from "../model/format";
import type { Exemplar } from "../model/series";
import type { CssPixels } from "../model/units";
import { type Ink, inks, prepare } from "./canvas";

const font = "11px system-ui, sans-serif";

/** One hue from nearly the page's colour to its opposite, so that more is further from the background in both themes. */
const ramps: Record<Theme, [number, number, number][]> = {
  light: [[226, 232, 252], [79, 70, 229], [35, 22, 105]],
  dark: [[34, 38, 72], [110, 101, 246], [222, 224, 255]],
};

function colourAt(theme: Theme, share: number): string {
  const ramp = ramps[theme];
  const at = Math.min(1, Math.max(0, share)) * (ramp.length - 1);
  const low = Math.min(ramp.length - 2, Math.floor(at));
  return `rgb(${ramp[low]!.map((c, i) => Math.round(c + (ramp[low + 1]![i]! - c) * (at - low))).join(" ")})`;
}

/** The part of the canvas that the cells fill. */
export function heatBox(width: CssPixels, height: CssPixels): Box {
  return { left: 58, top: 8, width: Math.max(1, width - 70), height: Math.max(1, height - 34) };
}

export interface HeatDrawing {
  heat: Heat;
  span: Span;
  exemplars: Exemplar[];
  hovered: Cell | undefined;
  theme: Theme;
}

/** Draws it and returns where the exemplars stand, for finding the one under the pointer. */
export function drawHeat(canvas: HTMLCanvasElement, width: CssPixels, height: CssPixels, drawing: HeatDrawing): { x: CssPixels; y: CssPixels; index: number }[] {
  const context = prepare(canvas, width, height);
  const box = heatBox(width, height);
  const { heat, span, theme } = drawing;
  drawAxes(context, box, heat, span, inks[theme]);
  heat.counts.forEach((row, r) =>
    row.forEach((count, c) => {
      if (count < 0.001) return;
      const cell = cellBox(heat, box, span, { row: r, column: c });
      context.fillStyle = colourAt(theme, strength(count, heat.max));
      // A hair wider than the cell would leave seams; a hair narrower keeps the rows apart.
      context.fillRect(cell.left, cell.top + 0.5, cell.width + (cell.width > 6 ? -0.5 : 0.3), cell.height - 1);
    }),
  );
  if (drawing.hovered) outline(context, cellBox(heat, box, span, drawing.hovered), inks[theme].text);
  return drawExemplars(context, box, drawing);
}

function outline(context: CanvasRenderingContext2D, box: Box, colour: string): void {
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.strokeRect(box.left, box.top, box.width, box.height);
}

function drawAxes(context: CanvasRenderingContext2D, box: Box, heat: Heat, span: Span, ink: Ink): void {
  context.font = font;
  context.fillStyle = ink.faint;
  context.strokeStyle = ink.line;
  context.lineWidth = 1;
  context.textAlign = "right";
  context.textBaseline = "middle";
  const row = box.height / Math.max(1, heat.bounds.length);
  const every = Math.max(1, Math.ceil(16 / row));
  heat.bounds.forEach((bound, i) => {
    const y = Math.round(box.top + box.height - (i + 1) * row) + 0.5;
    line(context, box.left, y, box.left + box.width, y);
    if ((heat.bounds.length - 1 - i) % every === 0) context.fillText(Number.isFinite(bound) ? formatIn("seconds", bound) : "∞", box.left - 8, Math.max(6, y));
  });
  context.textBaseline = "top";
  context.textAlign = "center";
  for (const tick of clockTicks(span, Math.max(2, Math.floor(box.width / 90)))) {
    const x = box.left + ((tick.at - span.from) / (span.to - span.from)) * box.width;
    context.fillText(tick.label, Math.min(x, box.left + box.width - 14), box.top + box.height + 8);
  }
  line(context, box.left, box.top + box.height + 0.5, box.left + box.width, box.top + box.height + 0.5);
}

function line(context: CanvasRenderingContext2D, x1: CssPixels, y1: CssPixels, x2: CssPixels, y2: CssPixels): void {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

const tickSteps = [1, 5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];

function clockTicks(span: Span, most: number): { at: number; label: string }[] {
  const step = tickSteps.find((s) => (span.to - span.from) / s <= most) ?? 86_400;
  const made = [];
  for (let at = Math.ceil(span.from / step) * step; at <= span.to; at += step) made.push({ at, label: formatClock(at * 1000, step * 1000) });
  return made;
}

function drawExemplars(context: CanvasRenderingContext2D, box: Box, { heat, span, exemplars, theme }: HeatDrawing): { x: CssPixels; y: CssPixels; index: number }[] {
  const placed = exemplars.flatMap((e, index) => {
    const at = exemplarAt(heat, box, span, e);
    return at ? [{ ...at, index }] : [];
  });
  for (const { x, y } of placed) drawDot(context, x, y, theme);
  return placed;
}

/** The mark of an exemplar, the same on every chart: a small diamond, visible on lines and cells alike. */
export function drawDot(context: CanvasRenderingContext2D, x: number, y: number, theme: Theme, size = 4): void {
  context.beginPath();
  context.moveTo(x, y - size);
  context.lineTo(x + size, y);
  context.lineTo(x, y + size);
  context.lineTo(x - size, y);
  context.closePath();
  context.fillStyle = theme === "dark" ? "#ffc46b" : "#d97706";
  context.fill();
  context.strokeStyle = theme === "dark" ? "#151a21" : "#ffffff";
  context.lineWidth = 1;
  context.stroke();
}
