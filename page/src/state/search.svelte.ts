// The results of the search at the present address: traces, or the series of a metrics query. Results are replaced whole,
// never changed in place.

import { isTraceId } from "../model/ids";
import { addCondition, canNarrow, checkForm, formQuery, parseLimit } from "../model/query";
import { resolveRange } from "../model/range";
import type { Result, SearchProgress } from "../model/search";
import { askedAtATime, slowest } from "../model/slowest";
import { metricsFunction } from "../model/traceqlmetrics";
import { remember } from "./history";
import * as api from "./api";
import { type Loading, valueOf } from "./loading";
import { route } from "./route.svelte";
import { ui } from "./ui.svelte";
import { type Explore, exploreHref } from "./url";

class SearchState {
  results = $state.raw<Loading<Result[]>>({ state: "none" });
  /** The answer of a TraceQL metrics query, which takes the place of results. */
  metrics = $state.raw<Loading<api.MetricsFound>>({ state: "none" });

  /** Whether results are the slowest of the whole range; undefined where that was not asked for. */
  exact = $state<boolean | undefined>();

  /** How far the search has come that runs, or that was stopped; undefined for one that has ended. */
  progress = $state.raw<SearchProgress | undefined>();

  /** Whether the reader stopped the search: results are those that had been found. */
  stopped = $state(false);

  #key = "";
  /** What the results that are shown answer. */
  #shown = "";
  #request = new AbortController();

  start(): void {
    route.onChange(() => {
      if (route.current.page === "explore") void this.#run(route.current.explore);
    });
    route.onRefresh(() => route.page === "explore" && this.run({}));
  }

  /** Runs the search that the form or editor holds, again if nothing changed. */
  run(change: Partial<Explore>): void {
    const next = { ...route.explore, ...change };
    if (next.tab === "traceql" && next.query.trim() !== "" && isTraceId(next.query.trim())) {
      route.go(exploreHref({ ...next, trace: next.query.trim(), span: "" }));
      return;
    }
    this.#key = "";
    route.go(exploreHref(next));
  }

  /** Ends the search that runs and keeps its results. */
  stop(): void {
    if (this.results.state !== "loading") return;
    this.#request.abort();
    this.stopped = true;
    this.results = { state: "done", value: this.results.before ?? [] };
    ui.announcement = `Stopped: ${tracesFound(valueOf(this.results) ?? [])}`;
  }

  async #run(explore: Explore): Promise<void> {
    const query = queryOf(explore);
    const slow = explore.order === "slowest";
    const key = query === undefined ? "" : JSON.stringify([query, explore.form.limit, explore.range, explore.metrics, slow]);
    if (key === this.#key || explore.tab === "json") return;
    this.#key = key;
    this.#request.abort();
    this.#request = new AbortController();
    const { signal } = this.#request;
    this.progress = undefined;
    this.stopped = false;
    if (query !== undefined && explore.tab === "traceql") remember(query);
    const kind = query === undefined ? undefined : metricsFunction(query);
    if (query === undefined || kind !== undefined) this.results = { state: "none" };
    if (kind === undefined) this.metrics = { state: "none" };
    if (query === undefined) return;
    if (kind === undefined) await this.#load("results", () => this.#find(query, key, explore, slow, signal), signal, tracesFound);
    // Comparing sums over the whole range whatever the view: its answer is a table.
    else await this.#load("metrics", () => api.metrics(query, kind === "compare" ? "instant" : explore.metrics, explore.range, signal), signal, seriesFound);
  }

  async #find(query: string, key: string, explore: Explore, slow: boolean, signal: AbortSignal): Promise<Result[]> {
    const limit = safeLimit(explore.form.limit);
    this.exact = undefined;
    if (slow && canNarrow(query)) {
      // One moment for all rounds: "now" must not move between them.
      const { start, end } = resolveRange(explore.range, Date.now());
      const range = { from: String(start * 1000), to: String(end * 1000) };
      const found = await slowest(limit, (least) => api.search(least <= 0 ? query : addCondition(query, `trace:duration>=${least}ms`), askedAtATime(limit), range, signal));
      if (!signal.aborted) {
        this.exact = found.exact;
        this.#shown = key;
      }
      return found.results;
    }
    // The same query again: the results of before stay until the new ones are whole.
    const again = this.#shown === key;
    const found = await api.searchStream(query, limit, explore.range, signal, (results, progress) => {
      if (signal.aborted) return;
      this.progress = progress;
      if (again || results.length === 0) return;
      this.#shown = "";
      this.results = { state: "loading", before: results };
    });
    if (signal.aborted) return found;
    this.progress = undefined;
    this.#shown = key;
    return found;
  }

  async #load<K extends "results" | "metrics", T>(into: K, ask: () => Promise<T>, signal: AbortSignal, announce: (value: T) => string): Promise<void> {
    const set = (to: Loading<T>): void => {
      (this[into] as Loading<unknown>) = to;
    };
    set({ state: "loading", before: valueOf(this[into] as Loading<T>) });
    try {
      const value = await ask();
      if (signal.aborted) return;
      set({ state: "done", value });
      ui.announcement = announce(value);
    } catch (err) {
      if (!signal.aborted) set({ state: "error", message: (err as Error).message });
    }
  }
}

/** The query that a view runs, or undefined when it has none that can be run. */
export function queryOf(explore: Explore): string | undefined {
  if (explore.tab === "json") return undefined;
  if (explore.tab === "traceql" || (explore.tab === "graph" && explore.query !== "")) {
    return explore.query.trim() === "" || isTraceId(explore.query.trim()) ? undefined : explore.query;
  }
  return Object.keys(checkForm(explore.form)).length === 0 ? formQuery(explore.form) : undefined;
}

function tracesFound(found: Result[]): string {
  return found.length === 1 ? "1 trace found" : `${found.length} traces found`;
}

function seriesFound({ series }: api.MetricsFound): string {
  return `${series.length} series`;
}

export function safeLimit(text: string): number {
  try {
    return parseLimit(text);
  } catch {
    return parseLimit("");
  }
}

export const search = new SearchState();
