// Paints a flame graph: one block a span or group, with its name where there is room.

import type { Flame } from "../layout/flame";
import type { Theme } from "../model/colour";
import { visible } from "../model/text";
import { nameOf, type Trace } from "../model/trace";
import type { CssPixels, Nanoseconds } from "../model/units";
import { inks, prepare } from "./canvas";

export const flameLane: CssPixels = 22;
const font = "12px system-ui, sans-serif";

export interface FlameDrawing {
  trace: Trace;
  flame: Flame;
  span: { from: Nanoseconds; to: Nanoseconds };
  colours: string[];
  matches: Uint8Array | undefined;
  hovered: number;
  selected: number;
  theme: Theme;
}

export function drawFlame(canvas: HTMLCanvasElement, width: CssPixels, height: CssPixels, d: FlameDrawing): void {
  const context = prepare(canvas, width, height);
  const scale = width / Math.max(1, d.span.to - d.span.from);
  context.font = font;
  context.textBaseline = "middle";
  // Blocks that share a pixel and a lane are painted once: a million spans cost no more than the pixels they cover.
  const painted = new Map<number, number>();
  d.flame.blocks.forEach((b, i) => {
    if (b.to < d.span.from || b.from > d.span.to) return;
    const x = Math.max(0, (b.from - d.span.from) * scale);
    const w = Math.max(1, Math.min(width, (b.to - d.span.from) * scale) - x);
    if (w <= 1.5) {
      const pixel = Math.floor(x);
      if (painted.get(b.lane) === pixel) return;
      painted.set(b.lane, pixel);
    }
    paint(context, d, i, x, w);
  });
}

function paint(context: CanvasRenderingContext2D, d: FlameDrawing, i: number, x: CssPixels, w: CssPixels): void {
  const b = d.flame.blocks[i]!;
  const y = b.lane * flameLane + 1;
  const faint = d.matches !== undefined && !d.matches[b.span];
  context.globalAlpha = faint ? 0.25 : 1;
  context.fillStyle = d.colours[d.trace.serviceIds[b.span]!]!;
  context.fillRect(x, y, Math.max(1, w - (w > 3 ? 1 : 0)), flameLane - 2);
  if (b.errors > 0) {
    context.fillStyle = inks[d.theme].error;
    context.fillRect(x, y, Math.min(4, w), flameLane - 2);
  }
  if (w > 34) {
    context.fillStyle = d.theme === "dark" ? "#10141a" : "#ffffff";
    const text = visible(nameOf(d.trace, b.span));
    context.fillText(fitting(context, b.count > 1 ? `${text} × ${b.count}` : text, w - 12), x + 7, y + flameLane / 2 - 0.5);
  }
  context.globalAlpha = 1;
  if (i !== d.hovered && i !== d.selected) return;
  context.strokeStyle = i === d.selected ? inks[d.theme].text : inks[d.theme].faint;
  context.lineWidth = 2;
  context.strokeRect(x + 1, y, Math.max(2, w - 2), flameLane - 2);
}

/** The longest beginning of a text that fits, with an ellipsis where some is left out; "" where not even two characters fit. */
function fitting(context: CanvasRenderingContext2D, text: string, room: CssPixels): string {
  if (context.measureText(text).width <= room) return text;
  let [low, high] = [0, Math.min(text.length, Math.ceil(room / 2))];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (context.measureText(`${text.slice(0, middle)}…`).width <= room) low = middle;
    else high = middle - 1;
  }
  return low < 2 ? "" : `${text.slice(0, low)}…`;
}

/** The block under a point, or -1. */
export function blockAt(flame: Flame, span: { from: Nanoseconds; to: Nanoseconds }, width: CssPixels, x: CssPixels, y: CssPixels): number {
  const lane = Math.floor(y / flameLane);
  const pixel = (span.to - span.from) / Math.max(1, width);
  const time = span.from + x * pixel;
  let best = -1;
  for (let i = 0; i < flame.blocks.length; i++) {
    const b = flame.blocks[i]!;
    if (b.lane === lane && time >= b.from - pixel && time <= Math.max(b.to, b.from + pixel)) best = i;
  }
  return best;
}
