// The reader's view of one open trace: zoom, folds, filter, selection. The address keeps it; the trace itself
// never changes. All views of a trace share one Look, so that a selection made in one shows in all.

import { clampView, fullView, isFull, type View } from "../layout/axis";
import { type Folds, noFolds, readFolds, reveal, visibleRows, withAncestors, writeFolds } from "../layout/rows";
import { answerFor } from "../model/answer";
import { distinctColours } from "../model/colour";
import { plural } from "../model/format";
import { runsOf } from "../model/inside";
import { findSpan, spanIdAt, type Trace } from "../model/trace";
import type { Nanoseconds, SpanIndex } from "../model/units";
import { opened } from "./opened.svelte";
import { route } from "./route.svelte";
import type { Shown } from "./tracework";
import { ui } from "./ui.svelte";

/** The parts of a look that the address keeps. */
type Kept = "zoom" | "folds" | "find" | "span";

export class Look {
  readonly trace: Trace;
  /** The same with the recorded times: for saving. */
  readonly recorded: Trace;
  /** Whether the times are corrected, and whether there is anything to correct. */
  readonly skewed: boolean;
  zoom = $state.raw<View>({ from: 0, to: 1 });
  folds = $state.raw<Folds>({ collapsed: new Uint8Array(0), openRuns: new Set() });
  text = $state("");
  /** By row; undefined without a filter. */
  matches = $state.raw<Uint8Array | undefined>();
  /** The mistake in the filter text. */
  problem = $state("");
  /** The span of the side panel, or -1. */
  selected = $state<SpanIndex>(-1);
  /** The span under the keys. */
  focused = $state<SpanIndex>(0);
  /** Counts up when the focused span must be scrolled into sight. */
  wanted = $state(0);

  readonly runs;
  readonly colours = $derived.by(() => distinctColours(this.trace.services, ui.theme));
  readonly found = $derived.by(() => rowsOf(this.matches));
  readonly keep = $derived.by(() => (this.matches && !route.look.rest && this.found.length > 0 ? withAncestors(this.trace, this.matches) : undefined));
  readonly rows = $derived.by(() => visibleRows(this.trace, this.folds, this.runs, this.keep));
  readonly zoomed = $derived.by(() => !isFull(this.zoom, this.trace.duration));
  /** Into found: the match that the reader stepped to, or -1. */
  readonly step = $derived.by(() => this.found.indexOf(this.focused));

  /** Writes to the address that wait. */
  #timers = new Map<Kept, { timer: number; write: () => void }>();
  /** The known content of the address, part by part. */
  #written = new Map<Kept, string>();

  constructor(shown: Shown, corrected: boolean) {
    this.trace = corrected ? shown.trace : shown.asRecorded;
    this.recorded = shown.asRecorded;
    this.skewed = shown.trace !== shown.asRecorded;
    this.runs = runsOf(this.trace);
    route.settle = () => this.settle();
    this.read();
  }

  /**
   * Takes over what the address says: at the start, and when the reader goes back or forward. What this Look wrote
   * itself, or is about to write, is not read back: the address may say less (folds past a limit), and says it later.
   */
  read(): void {
    const { look, explore } = route;
    this.#adopt("zoom", look.zoom, () => (this.zoom = parseZoom(look.zoom, this.trace.duration)));
    this.#adopt("folds", look.folds, () => (this.folds = look.folds === "" ? noFolds(this.trace) : readFolds(this.trace, look.folds)));
    this.#adopt("find", look.find, () => void this.#filter(look.find));
    this.#adopt("span", explore.span, () => {
      const span = findSpan(this.trace, explore.span);
      if (span >= 0) this.show(span);
      this.selected = span;
    });
  }

  #adopt(of: Kept, text: string, take: () => void): void {
    if (this.#timers.has(of) || this.#written.get(of) === text) return;
    this.#written.set(of, text);
    take();
  }

  colourOf(i: SpanIndex): string {
    return this.colours[this.trace.serviceIds[i]!]!;
  }

  zoomTo(from: Nanoseconds, to: Nanoseconds, how: "push" | "replace" = "push"): void {
    this.zoom = clampView(from, to, this.trace.duration);
    const text = isFull(this.zoom, this.trace.duration) ? "" : `${Math.round(this.zoom.from)}-${Math.round(this.zoom.to)}`;
    this.#later("zoom", text, () => route.setLook({ zoom: text }, how), how === "push" ? 0 : 200);
  }

  resetZoom(): void {
    const { from, to } = fullView(this.trace.duration);
    this.zoomTo(from, to);
  }

  /** The span with some room around it. */
  zoomToSpan(i: SpanIndex): void {
    const room = Math.max(1, this.trace.durations[i]! * 0.05);
    this.zoomTo(this.trace.starts[i]! - room, this.trace.starts[i]! + this.trace.durations[i]! + room);
  }

  fold(folds: Folds): void {
    this.folds = folds;
    const text = writeFolds(this.trace, folds);
    this.#later("folds", text, () => route.setLook({ folds: text }), 0);
  }

  /** Opens the side panel for a span, or closes it for -1. */
  select(i: SpanIndex): void {
    this.selected = i;
    if (i >= 0) this.focused = i;
    const id = i < 0 ? "" : spanIdAt(this.trace, i);
    this.#later("span", id, () => route.markSpan(id), 120);
  }

  /** Unfolds what hides a span, moves the keys to it and scrolls there. */
  show(i: SpanIndex): void {
    const folds = reveal(this.trace, this.folds, this.runs, i);
    if (folds !== this.folds) this.folds = folds;
    this.focused = i;
    this.wanted++;
  }

  setFilter(text: string, how: "push" | "replace" = "replace"): void {
    void this.#filter(text);
    this.#later("find", text.trim(), () => route.setLook({ find: text.trim() }, how), how === "push" ? 0 : 250);
  }

  /** Goes to the next or previous match. */
  stepBy(by: 1 | -1): void {
    // A reader types and presses Enter faster than the Worker answers: the step waits for the answer.
    if (this.#deciding) {
      this.#step = by;
      return;
    }
    const { found } = this;
    if (found.length === 0) return;
    const at = this.step < 0 ? (by > 0 ? 0 : found.length - 1) : (this.step + by + found.length) % found.length;
    this.show(found[at]!);
    if (this.selected >= 0) this.select(found[at]!);
  }

  get criticalText(): string {
    return "critical=true";
  }

  /** Spans whose own time is at least a twentieth of the trace, in round figures. */
  get slowText(): string {
    const least = answerFor(this.trace).whole / 20;
    const [size, unit] = least >= 1e9 ? [1e9, "s"] : least >= 1e6 ? [1e6, "ms"] : least >= 1e3 ? [1e3, "us"] : [1, "ns"];
    return `own>=${Math.max(1, Math.floor(least / size))}${unit}`;
  }

  /** Whether the filter is being decided, and the step that was asked for meanwhile. */
  #deciding = false;
  #step: 1 | -1 | 0 = 0;

  async #filter(text: string): Promise<void> {
    this.text = text;
    this.#deciding = text.trim() !== "";
    this.#step = 0;
    if (text.trim() === "") {
      this.matches = undefined;
      this.problem = "";
      return;
    }
    const answer = await opened.match(text);
    if (this.text !== text) return;
    this.#deciding = false;
    if ("message" in answer) {
      this.problem = answer.message;
      return;
    }
    this.problem = "";
    const { order } = this.trace;
    this.matches = Uint8Array.from(order, (source) => answer.matches[source]!);
    ui.announcement = plural(this.found.length, "match", "matches");
    if (this.#step !== 0) this.stepBy(this.#step);
  }

  /** Addresses are written when the reader pauses: browsers refuse hundreds of them a second. */
  #later(of: Kept, text: string, write: () => void, delay: number): void {
    clearTimeout(this.#timers.get(of)?.timer);
    const now = (): void => {
      this.#timers.delete(of);
      this.#written.set(of, text);
      write();
    };
    if (delay === 0) now();
    else this.#timers.set(of, { timer: window.setTimeout(now, delay), write: now });
  }

  /** Writes what waits: what is pushed next must not be taken for its place. */
  settle(): void {
    for (const { timer, write } of [...this.#timers.values()]) {
      clearTimeout(timer);
      write();
    }
  }
}

function rowsOf(matches: Uint8Array | undefined): SpanIndex[] {
  const made: SpanIndex[] = [];
  matches?.forEach((m, i) => m && made.push(i));
  return made;
}

function parseZoom(text: string, duration: Nanoseconds): View {
  const [, from, to] = /^(\d{1,16})-(\d{1,16})$/.exec(text) ?? [];
  return from !== undefined && to !== undefined ? clampView(Number(from), Number(to), duration) : fullView(duration);
}
