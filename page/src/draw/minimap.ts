// Paints the minimap: one thin bar a span, in the colour of its service, errors on top. With a filter, only matches keep
// their colour.

import { miniBars } from "../layout/minimap";
import type { Theme } from "../model/colour";
import type { Trace } from "../model/trace";
import type { CssPixels } from "../model/units";
import { inks, prepare } from "./canvas";

const margin: CssPixels = 4;

export function drawMinimap(canvas: HTMLCanvasElement, trace: Trace, width: CssPixels, height: CssPixels, colours: string[], matches: Uint8Array | undefined, theme: Theme): void {
  const context = prepare(canvas, width, height);
  const bars = miniBars(trace, width, height - 2 * margin);
  for (const errors of [false, true]) {
    for (const bar of bars) {
      if (bar.error !== errors) continue;
      const faint = matches !== undefined && !matches[bar.span];
      context.globalAlpha = faint ? 0.2 : 1;
      context.fillStyle = colours[bar.service]!;
      context.fillRect(bar.x, margin + bar.y, bar.width, bar.height);
      if (!errors) continue;
      context.fillStyle = inks[theme].error;
      context.fillRect(bar.x, margin + bar.y, Math.min(4, bar.width), bar.height);
    }
  }
  context.globalAlpha = 1;
}
