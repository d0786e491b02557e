// Paints the minimap: one thin bar a span, in the colour of its service, errors on top.

import { miniBars } from "../layout/minimap";
import { serviceColour, type Theme } from "../model/colour";
import type { Trace } from "../model/trace";
import type { CssPixels } from "../model/units";
import { inks, prepare } from "./canvas";

const margin: CssPixels = 4;

export function drawMinimap(canvas: HTMLCanvasElement, trace: Trace, width: CssPixels, height: CssPixels, theme: Theme): void {
  const context = prepare(canvas, width, height);
  const colours = trace.services.map((name) => serviceColour(name, theme));
  const bars = miniBars(trace, width, height - 2 * margin);
  for (const errors of [false, true]) {
    for (const bar of bars) {
      if (bar.error !== errors) continue;
      context.fillStyle = colours[bar.service]!;
      context.fillRect(bar.x, margin + bar.y, bar.width, bar.height);
      if (!errors) continue;
      context.fillStyle = inks[theme].error;
      context.fillRect(bar.x, margin + bar.y, Math.min(4, bar.width), bar.height);
    }
  }
}
