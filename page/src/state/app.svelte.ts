// The one store of the page. The address is the truth: everything else here follows from it, and everything that a
// reader does goes through go(). Results and traces are replaced whole, never changed in place.

import type { Theme } from "../model/colour";
import { isTraceId, sameTraceId } from "../model/ids";
import { checkForm, formQuery, parseLimit } from "../model/query";
import { refreshInterval } from "../model/range";
import type { Result } from "../model/search";
import type { Trace } from "../model/trace";
import { metricsFunction } from "../model/traceqlmetrics";
import * as api from "./api";
import { plainLink } from "./links";
import { chooseTheme, currentTheme, onSystemTheme } from "./theme";
import { emptyExplore, emptyTime, type Explore, exploreHref, parseRoute, type Route, servicesHref, type Time, traceHref } from "./url";

export type Loading<T> = { state: "none" } | { state: "loading"; before: T | undefined } | { state: "done"; value: T } | { state: "error"; message: string };

class App {
  route = $state.raw<Route>(parseRoute(location.pathname, location.search));
  theme = $state<Theme>(currentTheme());
  /** undefined until it is known; {} where it cannot be known. */
  info = $state.raw<api.Info | undefined>();
  results = $state.raw<Loading<Result[]>>({ state: "none" });
  /** The answer of a TraceQL metrics query, which takes the place of results. */
  metrics = $state.raw<Loading<api.MetricsFound>>({ state: "none" });
  /** Counts up when what depends on the present time must be asked again. */
  tick = $state(0);
  /** done with undefined: the backend has no such trace. */
  trace = $state.raw<Loading<Trace | undefined>>({ state: "none" });
  /** What the backend says about the trace, such as that a part of it is missing. */
  traceNote = $state("");
  /** Traces read from a file: they live in this page only. */
  fileTraces = $state.raw<Trace[]>([]);
  helpOpen = $state(false);
  /** What a screen reader is told. */
  announcement = $state("");

  #searchKey = "";
  #traceKey = "";
  #timer = 0;
  #interval = 0;
  #search = new AbortController();
  #fetch = new AbortController();

  get explore(): Explore {
    return this.route.page === "explore" || this.route.page === "trace" ? this.route.explore : emptyExplore;
  }

  get time(): Time {
    return this.route.page === "services" ? this.route.time : this.route.page === "home" || this.route.page === "missing" ? emptyTime : this.route.explore;
  }

  start(): void {
    addEventListener("popstate", () => this.#read());
    onSystemTheme(() => (this.theme = currentTheme()));
    api.fetchInfo().then(
      (info) => (this.info = info),
      () => (this.info = {}), // Without links the page still works: it hides what it does not know.
    );
    this.#read();
  }

  /** Opens an address of this page. */
  go(href: string, how: "push" | "replace" = "push"): void {
    if (how === "replace") history.replaceState(null, "", href);
    else if (href !== location.pathname + location.search) history.pushState(null, "", href);
    this.#read();
  }

  /** Runs the search that the form or editor holds, again if nothing changed. */
  run(change: Partial<Explore>): void {
    const next = { ...this.explore, ...change };
    if (next.tab === "traceql" && next.query.trim() !== "" && isTraceId(next.query.trim())) {
      this.go(exploreHref({ ...next, trace: next.query.trim(), span: "" }));
      return;
    }
    this.#searchKey = "";
    this.go(exploreHref(next));
  }

  /** Changes the time of the present view. */
  setTime(change: Partial<Time>): void {
    if (this.route.page === "services") this.go(servicesHref(this.route.service, { ...this.route.time, ...change }));
    else this.go(exploreHref({ ...this.explore, ...change }));
  }

  /** Asks again what the present view shows. */
  refresh(): void {
    this.tick++;
    if (this.route.page === "explore") this.run({});
  }

  /** The address of a trace beside the present results, or alone where it is alone now. */
  hrefOf(trace: string, span = ""): string {
    return this.route.page === "trace" ? traceHref(trace, span) : exploreHref({ ...this.explore, trace, span });
  }

  /** Remembers the open span in the address without a new entry in the history. */
  markSpan(span: string): void {
    const { trace } = this.explore;
    if (trace !== "" && this.explore.span !== span) this.go(this.hrefOf(trace, span), "replace");
  }

  setTheme(theme: Theme): void {
    chooseTheme(theme);
    this.theme = theme;
  }

  async reloadTrace(): Promise<void> {
    this.#traceKey = "";
    await this.#loadTrace(this.explore.trace);
  }

  #read(): void {
    this.route = parseRoute(location.pathname, location.search);
    if (this.route.page === "explore") void this.#runSearch(this.route.explore);
    void this.#loadTrace(this.explore.trace);
    this.#setTimer(refreshInterval(this.time.refresh));
  }

  /** A page that nobody looks at asks nothing. */
  #setTimer(interval: number): void {
    if (interval === this.#interval) return;
    this.#interval = interval;
    clearInterval(this.#timer);
    if (interval > 0) this.#timer = window.setInterval(() => document.hidden || this.refresh(), interval);
  }

  async #runSearch(explore: Explore): Promise<void> {
    const query = queryOf(explore);
    const key = query === undefined ? "" : JSON.stringify([query, explore.form.limit, explore.range, explore.metrics]);
    if (key === this.#searchKey || explore.tab === "json") return;
    this.#searchKey = key;
    this.#search.abort();
    this.#search = new AbortController();
    const { signal } = this.#search;
    const kind = query === undefined ? undefined : metricsFunction(query);
    if (query === undefined || kind !== undefined) this.results = { state: "none" };
    if (kind === undefined) this.metrics = { state: "none" };
    if (query === undefined) return;
    if (kind === undefined) await this.#load("results", () => api.search(query, safeLimit(explore.form.limit), explore.range, signal), signal, tracesFound);
    // Comparing sums over the whole range whatever the view: its answer is a table.
    else await this.#load("metrics", () => api.metrics(query, kind === "compare" ? "instant" : explore.metrics, explore.range, signal), signal, seriesFound);
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
      this.announcement = announce(value);
    } catch (err) {
      if (!signal.aborted) set({ state: "error", message: (err as Error).message });
    }
  }

  async #loadTrace(id: string): Promise<void> {
    if (id === this.#traceKey) return;
    this.#traceKey = id;
    this.traceNote = "";
    this.#fetch.abort();
    const local = this.fileTraces.find((t) => sameTraceId(t.id, id));
    if (id === "" || local) {
      this.trace = local && id !== "" ? { state: "done", value: local } : { state: "none" };
      return;
    }
    this.#fetch = new AbortController();
    const { signal } = this.#fetch;
    this.trace = { state: "loading", before: undefined };
    try {
      const { trace, note } = await api.fetchTrace(id, signal);
      if (signal.aborted) return;
      this.traceNote = note;
      this.trace = { state: "done", value: trace };
    } catch (err) {
      if (!signal.aborted) this.trace = { state: "error", message: (err as Error).message };
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

function safeLimit(text: string): number {
  try {
    return parseLimit(text);
  } catch {
    return parseLimit("");
  }
}

function valueOf<T>(loading: Loading<T>): T | undefined {
  return loading.state === "done" ? loading.value : loading.state === "loading" ? loading.before : undefined;
}

export const app = new App();

/** Lets plain links of this page be followed without loading it anew. */
export function followLinks(event: MouseEvent): void {
  const link = plainLink(event);
  if (!link || parseRoute(link.pathname, link.search).page === "missing") return;
  event.preventDefault();
  app.go(link.pathname + link.search);
}
