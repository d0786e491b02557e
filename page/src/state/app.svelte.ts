// The one store of the page. The address is the truth: everything else here follows from it, and everything that a
// reader does goes through go(). Results and traces are replaced whole, never changed in place.

import type { Theme } from "../model/colour";
import { isTraceId, sameTraceId } from "../model/ids";
import { checkForm, formQuery, parseLimit } from "../model/query";
import type { Result } from "../model/search";
import type { Trace } from "../model/trace";
import * as api from "./api";
import { chooseTheme, currentTheme, onSystemTheme } from "./theme";
import { emptyExplore, type Explore, exploreHref, parseRoute, type Route, traceHref } from "./url";

export type Loading<T> = { state: "none" } | { state: "loading"; before: T | undefined } | { state: "done"; value: T } | { state: "error"; message: string };

class App {
  route = $state.raw<Route>(parseRoute(location.pathname, location.search));
  theme = $state<Theme>(currentTheme());
  info = $state.raw<api.Info>({});
  results = $state.raw<Loading<Result[]>>({ state: "none" });
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
  #search = new AbortController();
  #fetch = new AbortController();

  get explore(): Explore {
    return this.route.page === "explore" || this.route.page === "trace" ? this.route.explore : emptyExplore;
  }

  start(): void {
    addEventListener("popstate", () => this.#read());
    onSystemTheme(() => (this.theme = currentTheme()));
    api.fetchInfo().then(
      (info) => (this.info = info),
      () => undefined, // Without links the page still works: it hides what it does not know.
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
  }

  async #runSearch(explore: Explore): Promise<void> {
    const query = queryOf(explore);
    const key = query === undefined ? "" : JSON.stringify([query, explore.form.limit, explore.range]);
    if (key === this.#searchKey || explore.tab === "json") return;
    this.#searchKey = key;
    this.#search.abort();
    if (query === undefined) {
      this.results = { state: "none" };
      return;
    }
    this.#search = new AbortController();
    const { signal } = this.#search;
    this.results = { state: "loading", before: valueOf(this.results) };
    try {
      const found = await api.search(query, safeLimit(explore.form.limit), explore.range, signal);
      if (signal.aborted) return;
      this.results = { state: "done", value: found };
      this.announcement = found.length === 1 ? "1 trace found" : `${found.length} traces found`;
    } catch (err) {
      if (!signal.aborted) this.results = { state: "error", message: (err as Error).message };
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

/** Lets plain links of this page be followed without loading it anew; modified clicks stay the browser's. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  if (!link || link.target !== "" || link.origin !== location.origin || link.hasAttribute("download")) return;
  if (parseRoute(link.pathname, link.search).page === "missing" || link.hash !== "") return;
  event.preventDefault();
  app.go(link.pathname + link.search);
}
