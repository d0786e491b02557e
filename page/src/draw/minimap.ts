// Paints the minimap: one thin bar a span, in the colour of its service, errors on top. With a filter, only matches keep
// their colour.
//
// Pixels are written one by one: a strip has fewer of them than a large trace has bars, and a call of fillRect for each
// bar took a tenth of a second at 10,000 spans.

import { miniBars } from "../layout/minimap";
import type { Theme } from "../model/colour";
import type { Trace } from "../model/trace";
import type { CssPixels } from "../model/units";
import { inks, prepare } from "./canvas";

const margin: CssPixels = 4;

export function drawMinimap(canvas: HTMLCanvasElement, trace: Trace, width: CssPixels, height: CssPixels, colours: string[], matches: Uint8Array | undefined, theme: Theme): void {
  const context = prepare(canvas, width, height);
  const scale = canvas.width / Math.max(1, width);
  const image = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  const [clear, faint] = [colours.map((c) => pixelOf(c, 1)), colours.map((c) => pixelOf(c, 0.2))];
  const error = [pixelOf(inks[theme].error, 1), pixelOf(inks[theme].error, 0.2)];
  const fill = (x: CssPixels, y: CssPixels, w: CssPixels, h: CssPixels, pixel: number): void => {
    const [left, top] = [Math.floor(x * scale), Math.floor((margin + y) * scale)];
    const right = Math.min(canvas.width, Math.max(left + 1, Math.round((x + w) * scale)));
    const bottom = Math.min(canvas.height, Math.max(top + 1, Math.round((margin + y + h) * scale)));
    for (let line = top; line < bottom; line++) pixels.fill(pixel, line * canvas.width + left, line * canvas.width + right);
  };
  const bars = miniBars(trace, width, height - 2 * margin);
  for (const errors of [false, true]) {
    for (const bar of bars) {
      if (bar.error !== errors) continue;
      const dim = matches !== undefined && !matches[bar.span];
      fill(bar.x, bar.y, bar.width, bar.height, (dim ? faint : clear)[bar.service]!);
      if (errors) fill(bar.x, bar.y, Math.min(4, bar.width), bar.height, error[dim ? 1 : 0]!);
    }
  }
  context.putImageData(image, 0, 0);
}

const known = new Map<string, number>();
let probe: CanvasRenderingContext2D | undefined;

/** A colour of CSS as the word of a pixel, in the order of bytes of this machine. */
function pixelOf(colour: string, alpha: number): number {
  const key = `${colour} ${alpha}`;
  const found = known.get(key);
  if (found !== undefined) return found;
  probe ??= new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true }) as unknown as CanvasRenderingContext2D;
  probe.clearRect(0, 0, 1, 1);
  probe.fillStyle = colour;
  probe.fillRect(0, 0, 1, 1);
  const bytes = probe.getImageData(0, 0, 1, 1).data;
  bytes[3] = Math.round(255 * alpha);
  const [pixel] = new Uint32Array(bytes.buffer);
  known.set(key, pixel!);
  return pixel!;
}
