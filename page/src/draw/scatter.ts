// Paints durations over time: one dot a trace.

import { type Box, scatter, type Scatter } from "../layout/scatter";
import { serviceColour, type Theme } from "../model/colour";
import { formatClock, formatDuration } from "../model/format";
import type { Result } from "../model/search";
import type { CssPixels } from "../model/units";
import { inks, prepare } from "./canvas";

const font = "11px system-ui, sans-serif";

/** Draws the plot and returns it, for finding the dot under the pointer. */
export function drawScatter(canvas: HTMLCanvasElement, results: Result[], width: CssPixels, height: CssPixels, theme: Theme, hovered: number, log: boolean): Scatter {
  const context = prepare(canvas, width, height);
  const box: Box = { left: 58, top: 8, width: Math.max(1, width - 124), height: height - 30 };
  const plot = scatter(results, box, log);
  drawAxes(context, plot, box, theme);
  plot.dots.forEach((dot, i) => {
    const result = results[i]!;
    context.beginPath();
    context.arc(dot.x, dot.y, i === hovered ? 6 : 4, 0, 2 * Math.PI);
    context.fillStyle = serviceColour(result.rootService, theme);
    context.globalAlpha = i === hovered ? 1 : 0.75;
    context.fill();
    context.globalAlpha = 1;
    if (result.errorCount === 0 && i !== hovered) return;
    context.strokeStyle = result.errorCount > 0 ? inks[theme].error : inks[theme].text;
    context.lineWidth = 1.5;
    context.stroke();
  });
  return plot;
}

function drawAxes(context: CanvasRenderingContext2D, plot: Scatter, box: Box, theme: Theme): void {
  const ink = inks[theme];
  context.font = font;
  context.fillStyle = ink.faint;
  context.strokeStyle = ink.line;
  context.lineWidth = 1;
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const share of [0, 0.5, 1]) {
    const y = Math.round(box.top + (1 - share) * box.height) + 0.5;
    context.beginPath();
    context.moveTo(box.left, y);
    context.lineTo(box.left + box.width, y);
    context.stroke();
    const value = plot.log ? plot.min * (plot.max / plot.min) ** share : plot.max * share;
    context.fillText(value === 0 ? "0" : formatDuration(value * 1e6), box.left - 10, y);
  }
  context.textBaseline = "top";
  const clock = (ms: number): string => formatClock(ms, 1000);
  context.textAlign = "left";
  if (Number.isFinite(plot.from)) context.fillText(clock(plot.from), box.left, box.top + box.height + 7);
  context.textAlign = "right";
  if (plot.to > plot.from) context.fillText(clock(plot.to), box.left + box.width, box.top + box.height + 7);
}
