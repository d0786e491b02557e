// A bar in two tones: where a span worked itself, and where it waited for its children.

import { barIn, type View } from "./axis";
import type { Columns } from "../model/trace";
import type { CssPixels, SpanIndex } from "../model/units";

export interface Piece {
  /** In shares of the view's width. */
  left: number;
  width: number;
}

/** The parts of the bar of a span in which no child ran. Parts that would share a pixel are drawn as one. */
export function ownPieces(t: Columns, i: SpanIndex, view: View, width: CssPixels): Piece[] {
  const end = t.starts[i]! + t.durations[i]!;
  const pixel = (view.to - view.from) / Math.max(1, width);
  const pieces: Piece[] = [];
  let [from, to] = [NaN, NaN];
  const add = (a: number, b: number): void => {
    if (b <= a || b < view.from || a > view.to) return;
    if (a - to < pixel) to = b;
    else {
      flush();
      [from, to] = [a, b];
    }
  };
  const flush = (): void => {
    const bar = Number.isNaN(from) ? undefined : barIn(view, from, to - from);
    if (bar) pieces.push(bar);
  };
  let until = t.starts[i]!;
  for (let c = i + 1; c < t.subtreeEnds[i]!; c = t.subtreeEnds[c]!) {
    add(until, Math.min(end, t.starts[c]!));
    until = Math.max(until, Math.min(end, t.starts[c]! + t.durations[c]!));
    if (until >= end) break;
  }
  add(until, end);
  flush();
  return pieces;
}

/** The bars of the siblings head..end-1, drawn in one row. Bars that would share a pixel are drawn as one. */
export function runPieces(t: Columns, head: SpanIndex, end: SpanIndex, view: View, width: CssPixels): Piece[] {
  const pixel = (view.to - view.from) / Math.max(1, width);
  const pieces: Piece[] = [];
  let [from, to] = [NaN, NaN];
  const flush = (): void => {
    const bar = Number.isNaN(from) ? undefined : barIn(view, from, to - from);
    if (bar) pieces.push(bar);
  };
  // Siblings come by start, so bars that touch are neighbours.
  for (let i = head; i < end; i = t.subtreeEnds[i]!) {
    const [a, b] = [t.starts[i]!, t.starts[i]! + t.durations[i]!];
    if (a - to < pixel) to = Math.max(to, b);
    else {
      flush();
      [from, to] = [a, b];
    }
  }
  flush();
  return pieces;
}
