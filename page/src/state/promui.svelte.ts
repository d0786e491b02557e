// The store of the start page of Prometheus. As in app.svelte.ts, the address is the truth.

import type { Theme } from "../model/colour";
import type { Answer } from "../model/prometheus";
import { selectors } from "../model/promql";
import type { Exemplar, Series } from "../model/series";
import type { Seconds, UnixSeconds } from "../model/units";
import { fetchInfo, type Info } from "./api";
import { plainLink } from "./links";
import { type Period, Prometheus } from "./prometheus";
import { type Asked, emptyAsked, endTime, parsePrometheusRoute, type PrometheusRoute, queryHref, rangeSeconds } from "./promurl";
import { chooseTheme, currentTheme, onSystemTheme } from "./theme";

export type Result =
  | { kind: "none" }
  | { kind: "loading" }
  | { kind: "error"; message: string }
  | { kind: "table"; answer: Answer; took: number }
  | { kind: "graph"; series: Series[]; exemplars: Exemplar[]; period: Period; step: Seconds; took: number };

const graphPoints = 250;

class PrometheusUI {
  route = $state.raw<PrometheusRoute>(parsePrometheusRoute(location.pathname, location.search));
  theme = $state<Theme>(currentTheme());
  info = $state.raw<Info>({});
  result = $state.raw<Result>({ kind: "none" });
  announcement = $state("");
  /** An empty base: the API is on the page's own origin. */
  readonly api = new Prometheus("");

  #key = "";
  #stop = new AbortController();

  get asked(): Asked {
    return this.route.page === "query" ? this.route.asked : emptyAsked;
  }

  start(): void {
    addEventListener("popstate", () => this.#read());
    onSystemTheme(() => (this.theme = currentTheme()));
    fetchInfo().then(
      (info) => (this.info = info),
      () => undefined, // Only links come from there.
    );
    this.#read();
  }

  go(href: string): void {
    if (href !== location.pathname + location.search) history.pushState(null, "", href);
    this.#read();
  }

  /** Runs the query, again if nothing changed. */
  run(change: Partial<Asked>): void {
    this.#key = "";
    this.go(queryHref({ ...this.asked, ...change }));
  }

  setTheme(theme: Theme): void {
    chooseTheme(theme);
    this.theme = theme;
  }

  /** Where the trace of an exemplar shows, or undefined where no page is known. */
  get traceHref(): ((trace: string) => string) | undefined {
    const page = this.info.links?.page;
    return page ? (trace) => `${page.replace(/\/$/, "")}/trace/${encodeURIComponent(trace)}` : undefined;
  }

  #read(): void {
    this.route = parsePrometheusRoute(location.pathname, location.search);
    if (this.route.page === "query") void this.#run(this.route.asked);
  }

  async #run(asked: Asked): Promise<void> {
    const key = JSON.stringify(asked);
    if (key === this.#key) return;
    this.#key = key;
    this.#stop.abort();
    if (asked.expression.trim() === "") {
      this.result = { kind: "none" };
      return;
    }
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    const began = performance.now();
    this.result = { kind: "loading" };
    try {
      const result = asked.tab === "graph" ? await this.#graph(asked, signal) : ({ kind: "table", answer: await this.api.query(asked.expression, endOf(asked), signal) } as const);
      if (signal.aborted) return;
      this.result = { ...result, took: performance.now() - began };
      this.announcement = "The query is answered";
    } catch (err) {
      if (!signal.aborted) this.result = { kind: "error", message: (err as Error).message };
    }
  }

  async #graph(asked: Asked, signal: AbortSignal) {
    const end = endOf(asked);
    const period = { start: end - rangeSeconds(asked.range)!, end };
    const step = Math.max(1, Math.floor((period.end - period.start) / graphPoints));
    const [series, exemplars] = await Promise.all([
      this.api.queryRange(asked.expression, period, step, signal),
      this.#exemplars(asked.expression, period, signal),
    ]);
    return { kind: "graph", series, exemplars, period, step } as const;
  }

  /** Exemplars are an addition: a graph without them is still right. They fit on the axis of a quantile only. */
  async #exemplars(expression: string, period: Period, signal: AbortSignal): Promise<Exemplar[]> {
    if (!selectors(expression).includes("histogram_quantile")) return [];
    return this.api.exemplars(expression, period, signal).catch(() => []);
  }
}

function endOf(asked: Asked): UnixSeconds {
  return (endTime(asked.end) ?? Date.now()) / 1000;
}

export const ui = new PrometheusUI();

/** Follows plain links of this page without reloading it. */
export function followLinks(event: MouseEvent): void {
  const link = plainLink(event);
  if (!link || parsePrometheusRoute(link.pathname, link.search).page === "missing") return;
  event.preventDefault();
  ui.go(link.pathname + link.search);
}
