// The minimap: the whole trace in a strip. With more spans than lines, spans share a line; that keeps the cost of a
// redraw bounded by the strip's area for any number of spans.

import type { Columns } from "../model/trace";
import type { CssPixels, SpanIndex } from "../model/units";

export interface MiniBar {
  x: CssPixels;
  y: CssPixels;
  width: CssPixels;
  height: CssPixels;
  span: SpanIndex;
  service: number;
  error: boolean;
}

/** Bars for a strip of the given size, in reading order, at least one pixel wide. */
export function miniBars(trace: Columns, width: CssPixels, height: CssPixels): MiniBar[] {
  if (trace.length === 0 || width <= 0) return [];
  const pitch = Math.min(8, height / trace.length);
  const scale = width / Math.max(1, trace.duration);
  const bars: MiniBar[] = [];
  const seen = new Set<number>();
  for (let i = 0; i < trace.length; i++) {
    const x = Math.min(width - 1, trace.starts[i]! * scale);
    const barWidth = Math.max(1, Math.min(width - x, trace.durations[i]! * scale));
    const y = i * pitch;
    if (pitch < 1 && !firstAt(seen, Math.floor(y), x, barWidth, width, trace.errors[i]!)) continue;
    bars.push({ x, y, width: barWidth, height: Math.max(1, pitch > 3 ? pitch - 2 : pitch), span: i, service: trace.serviceIds[i]!, error: trace.errors[i] === 1 });
  }
  return bars;
}

/** Whether a bar shows anything that the bars drawn before it on the same line and pixels did not. */
function firstAt(seen: Set<number>, line: number, x: CssPixels, barWidth: CssPixels, width: CssPixels, error: number): boolean {
  const key = ((line * Math.ceil(width) + Math.floor(x)) * 2 + error) * 8 + Math.min(7, Math.floor(Math.log2(barWidth)));
  if (seen.has(key)) return false;
  seen.add(key);
  return true;
}
