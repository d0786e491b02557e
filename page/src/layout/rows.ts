// Which rows of the tree show, and where they stand. All rows have one height, so positions are products.

import type { Runs } from "../model/inside";
import type { Columns } from "../model/trace";
import type { CssPixels, SpanIndex } from "../model/units";

/** The rows that a reader folded and unfolded. */
export interface Folds {
  /** 1 where a span's children are hidden. */
  collapsed: Uint8Array;
  /** First rows of runs of equal siblings that are shown one by one; the other runs show as one row each. */
  openRuns: ReadonlySet<SpanIndex>;
}

export function noFolds(t: Columns): Folds {
  return { collapsed: new Uint8Array(t.length), openRuns: new Set() };
}

/**
 * The spans that show, top to bottom. keep marks the rows that a filter leaves (a row without a kept row below it must
 * be 0 unless it matches itself); with it runs are shown one by one, since a filter names the spans to see.
 */
export function visibleRows(t: Columns, folds: Folds, runs: Runs | undefined, keep?: Uint8Array): Int32Array {
  const rows = new Int32Array(t.length);
  let n = 0;
  for (let i = 0; i < t.length; ) {
    if (keep && !keep[i]) {
      i = t.subtreeEnds[i]!;
      continue;
    }
    rows[n++] = i;
    if (!keep && runs && runs.ends[i]! > 0 && !folds.openRuns.has(i)) i = runs.ends[i]!;
    else i = folds.collapsed[i] ? t.subtreeEnds[i]! : i + 1;
  }
  return rows.slice(0, n);
}

/** Marks the rows that match and all above them. */
export function withAncestors(t: Columns, matches: Uint8Array): Uint8Array {
  const keep = matches.slice();
  for (let i = t.length - 1; i > 0; i--) if (keep[i] && t.parents[i]! >= 0) keep[t.parents[i]!] = 1;
  return keep;
}

export function collapseAll(t: Columns): Folds {
  return { collapsed: Uint8Array.from(t.childCounts, (n) => (n > 0 ? 1 : 0)), openRuns: new Set() };
}

/** Hides the deepest level that shows. */
export function collapseLevel(t: Columns, folds: Folds, shown: Int32Array): Folds {
  let level = -1;
  for (const i of shown) if (t.childCounts[i]! > 0 && !folds.collapsed[i]) level = Math.max(level, t.depths[i]!);
  return withAll(folds, [...shown].filter((i) => t.childCounts[i]! > 0 && t.depths[i] === level), 1);
}

/** Shows one more level: that below the shallowest closed rows. */
export function expandLevel(t: Columns, folds: Folds, shown: Int32Array): Folds {
  const closed = [...shown].filter((i) => folds.collapsed[i]);
  const level = closed.reduce((shallowest, i) => Math.min(shallowest, t.depths[i]!), Infinity);
  return withAll(folds, closed.filter((i) => t.depths[i] === level), 0);
}

/** Opens everything above a span, so that it shows. */
export function reveal(t: Columns, folds: Folds, runs: Runs, span: SpanIndex): Folds {
  const above: SpanIndex[] = [];
  const heads: SpanIndex[] = [];
  for (let i = span; i >= 0; i = t.parents[i]!) {
    if (i !== span && folds.collapsed[i]) above.push(i);
    const head = runs.heads[i]!;
    // The head of a folded run shows as the run itself, which hides everything that is below the head.
    if (head >= 0 && !folds.openRuns.has(head) && (i !== head || i !== span)) heads.push(head);
  }
  if (above.length === 0 && heads.length === 0) return folds;
  return { ...withAll(folds, above, 0), openRuns: new Set([...folds.openRuns, ...heads]) };
}

export function toggled(folds: Folds, span: SpanIndex): Folds {
  return withAll(folds, [span], folds.collapsed[span] ? 0 : 1);
}

export function toggledRun(folds: Folds, head: SpanIndex): Folds {
  const openRuns = new Set(folds.openRuns);
  if (!openRuns.delete(head)) openRuns.add(head);
  return { ...folds, openRuns };
}

function withAll(folds: Folds, spans: SpanIndex[], value: 0 | 1): Folds {
  const collapsed = folds.collapsed.slice();
  for (const i of spans) collapsed[i] = value;
  return { ...folds, collapsed };
}

/** More folds than this are not written into an address. */
const mostWritten = 200;

/** Folds as text: rows in base 36, runs that are shown one by one after a "+". "all" where every row is folded. */
export function writeFolds(t: Columns, folds: Folds): string {
  const closed: string[] = [];
  let foldable = 0;
  for (let i = 0; i < t.length; i++) {
    if (t.childCounts[i]! > 0) foldable++;
    if (folds.collapsed[i]) closed.push(i.toString(36));
  }
  const runs = [...folds.openRuns].map((i) => `+${i.toString(36)}`);
  if (closed.length > 1 && closed.length === foldable) return ["all", ...runs.slice(0, mostWritten)].join(".");
  return closed.length + runs.length > mostWritten ? "" : [...closed, ...runs].join(".");
}

export function readFolds(t: Columns, text: string): Folds {
  const parts = text === "" ? [] : text.split(".");
  const folds = parts[0] === "all" ? collapseAll(t) : noFolds(t);
  const openRuns = new Set<SpanIndex>();
  for (const part of parts) {
    const row = Number.parseInt(part.replace("+", ""), 36);
    if (part === "all" || !(row >= 0 && row < t.length)) continue;
    if (part.startsWith("+")) openRuns.add(row);
    else if (t.childCounts[row]! > 0) folds.collapsed[row] = 1;
  }
  return { collapsed: folds.collapsed, openRuns };
}

/** The half-open range of rows to draw for a viewport, with some to spare on both sides for smooth scrolling. */
export function rowWindow(top: CssPixels, height: CssPixels, count: number, rowHeight: CssPixels, spare = 6): [number, number] {
  if (count === 0) return [0, 0];
  const first = Math.min(count - 1, Math.max(0, Math.floor(top / rowHeight)));
  const last = Math.min(count - 1, Math.max(0, Math.floor((top + height) / rowHeight)));
  return [Math.max(0, first - spare), Math.min(count, last + 1 + spare)];
}
