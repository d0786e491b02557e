// The time axis: what part of the trace shows, where it stands, and its ticks.

import { formatDuration } from "../model/format";
import type { CssPixels, Nanoseconds } from "../model/units";

/** The part of a trace that shows, as offsets from its start. Invariant: to > from. */
export interface View {
  from: Nanoseconds;
  to: Nanoseconds;
}

/** All of a trace; a trace without duration still gets an axis. */
export function fullView(duration: Nanoseconds): View {
  return { from: 0, to: Math.max(1, duration) };
}

export function isFull(view: View, duration: Nanoseconds): boolean {
  return view.from <= 0 && view.to >= Math.max(1, duration);
}

/** A view between two points in any order, kept inside the trace and at least minimum wide. */
export function clampView(a: Nanoseconds, b: Nanoseconds, duration: Nanoseconds): View {
  const full = fullView(duration);
  const minimum = Math.min(full.to, Math.max(1, full.to / 1e6));
  let from = Math.max(0, Math.min(a, b));
  const to = Math.min(full.to, Math.max(a, b, from + minimum));
  from = Math.max(0, Math.min(from, to - minimum));
  return { from, to };
}

/** Moves a view by a share of its width without changing the width. */
export function panned(view: View, share: number, duration: Nanoseconds): View {
  const width = view.to - view.from;
  const from = Math.min(Math.max(0, view.from + share * width), Math.max(0, fullView(duration).to - width));
  return { from, to: from + width };
}

/** Zooms about a point: factor < 1 shows less. */
export function zoomed(view: View, factor: number, duration: Nanoseconds, at = (view.from + view.to) / 2): View {
  return clampView(at - (at - view.from) * factor, at + (view.to - at) * factor, duration);
}

/** A bar in shares of the view's width: 0 is its left edge and 1 its right edge. undefined when it is outside. */
export function barIn(view: View, start: Nanoseconds, duration: Nanoseconds): { left: number; width: number } | undefined {
  const scale = view.to - view.from;
  const end = start + duration;
  if (end < view.from || start > view.to) return undefined;
  const left = Math.max(0, (start - view.from) / scale);
  return { left, width: Math.min(1, (end - view.from) / scale) - left };
}

export interface Tick {
  /** As a share of the view's width. */
  at: number;
  label: string;
}

/** Ticks at round times, as many as have room. */
export function ticks(view: View, width: CssPixels, room: CssPixels = 96): Tick[] {
  const most = Math.max(1, Math.floor(width / room));
  const step = roundStep((view.to - view.from) / most);
  const made: Tick[] = [];
  for (let n = Math.ceil(view.from / step); n * step <= view.to; n++) {
    made.push({ at: (n * step - view.from) / (view.to - view.from), label: tickLabel(n * step, step) });
  }
  return made;
}

/** The least of 1, 2, 5 times a power of ten that is not below the given step. */
function roundStep(least: Nanoseconds): Nanoseconds {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  for (const m of [1, 2, 5, 10]) if (m * power >= least * (1 - 1e-9)) return m * power;
  return 10 * power;
}

/** Enough digits to tell neighbouring ticks apart, which formatDuration alone may not give when zoomed in. */
function tickLabel(time: Nanoseconds, step: Nanoseconds): string {
  if (time === 0) return "0";
  if (step * 500 > time) return formatDuration(time);
  const [size, unit] = time >= 1e9 ? [1e9, "s"] : time >= 1e6 ? [1e6, "ms"] : [1e3, "µs"];
  const digits = Math.max(0, Math.ceil(-Math.log10(step / size)));
  return `${(time / size).toFixed(digits)} ${unit}`;
}
