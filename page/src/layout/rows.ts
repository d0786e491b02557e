// Which rows of the tree show, and where they stand. Rows have one height, except that a row with open details is
// taller by what its details measured. Few rows are open at once, so positions are a product plus a short sum.

import type { Trace } from "../model/trace";
import type { CssPixels, SpanIndex } from "../model/units";

/** 1 where a span's children are hidden. */
export type Collapsed = Uint8Array;

/** The spans that show, top to bottom. */
export function visibleRows(trace: Trace, collapsed: Collapsed): Int32Array {
  const rows = new Int32Array(trace.length);
  let n = 0;
  for (let i = 0; i < trace.length; i = collapsed[i] ? trace.subtreeEnds[i]! : i + 1) rows[n++] = i;
  return rows.subarray(0, n);
}

export function collapseAll(trace: Trace): Collapsed {
  return Uint8Array.from(trace.childCounts, (n) => (n > 0 ? 1 : 0));
}

/** Hides the deepest level that shows. */
export function collapseLevel(trace: Trace, collapsed: Collapsed): Collapsed {
  const open = [...visibleRows(trace, collapsed)].filter((i) => trace.childCounts[i]! > 0 && !collapsed[i]);
  const level = open.reduce((deepest, i) => Math.max(deepest, trace.depths[i]!), -1);
  return withAll(collapsed, open.filter((i) => trace.depths[i] === level), 1);
}

/** Shows one more level: that below the shallowest closed rows. */
export function expandLevel(trace: Trace, collapsed: Collapsed): Collapsed {
  const closed = [...visibleRows(trace, collapsed)].filter((i) => collapsed[i]);
  const level = closed.reduce((shallowest, i) => Math.min(shallowest, trace.depths[i]!), Infinity);
  return withAll(collapsed, closed.filter((i) => trace.depths[i] === level), 0);
}

/** Opens everything above a span, so that it shows. */
export function reveal(trace: Trace, collapsed: Collapsed, span: SpanIndex): Collapsed {
  const above: SpanIndex[] = [];
  for (let i = trace.parents[span]!; i >= 0; i = trace.parents[i]!) if (collapsed[i]) above.push(i);
  return above.length === 0 ? collapsed : withAll(collapsed, above, 0);
}

export function toggled(collapsed: Collapsed, span: SpanIndex): Collapsed {
  return withAll(collapsed, [span], collapsed[span] ? 0 : 1);
}

function withAll(collapsed: Collapsed, spans: SpanIndex[], value: 0 | 1): Collapsed {
  const copy = collapsed.slice();
  for (const i of spans) copy[i] = value;
  return copy;
}

/** A row that is taller than the others. */
export interface Extra {
  row: number;
  height: CssPixels;
}

/** The top of a row. extras must be sorted by row. */
export function rowTop(row: number, rowHeight: CssPixels, extras: Extra[]): CssPixels {
  let top = row * rowHeight;
  for (const extra of extras) {
    if (extra.row >= row) break;
    top += extra.height;
  }
  return top;
}

/** The row at a height. Past the end it is count-1, before the start 0. */
export function rowAt(y: CssPixels, count: number, rowHeight: CssPixels, extras: Extra[]): number {
  let low = 0;
  let high = Math.max(0, count - 1);
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (rowTop(middle, rowHeight, extras) <= y) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The half-open range of rows to draw for a viewport, with some to spare on both sides for smooth scrolling. */
export function rowWindow(top: CssPixels, height: CssPixels, count: number, rowHeight: CssPixels, extras: Extra[], spare = 6): [number, number] {
  if (count === 0) return [0, 0];
  const first = rowAt(top, count, rowHeight, extras);
  const last = rowAt(top + height, count, rowHeight, extras);
  return [Math.max(0, first - spare), Math.min(count, last + 1 + spare)];
}
