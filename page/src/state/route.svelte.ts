// The address is the truth: every other state follows from it, and a reader changes it through go().

import { flushSync } from "svelte";

import { refreshInterval } from "../model/range";
import { plainLink } from "./links";
import { compareHref, emptyExplore, emptyTime, type Explore, exploreHref, type Look, parseRoute, type Route, servicesHref, type Time, traceHref } from "./url";

class RouteState {
  current = $state.raw<Route>(parseRoute(location.pathname, location.search));
  /** Counts up when whatever depends on the present time must be asked again. */
  tick = $state(0);

  /** Writes changes of the address that wait, before a new entry of the history. */
  settle: () => void = () => {};

  #listeners: (() => void)[] = [];
  #refreshers: (() => void)[] = [];
  #timer = 0;
  #interval = 0;
  /** The trace of a shared file, or "". */
  #shared = "";

  get shared(): boolean {
    return this.#shared !== "";
  }

  get page(): Route["page"] {
    return this.current.page;
  }

  get explore(): Explore {
    return this.current.page === "explore" || this.current.page === "trace" ? this.current.explore : emptyExplore;
  }

  /** How the open trace is looked at. */
  get look(): Look {
    return this.explore.look;
  }

  get time(): Time {
    if (this.current.page === "services") return this.current.time;
    if (this.current.page === "compare") return this.current.compare;
    return this.current.page === "explore" || this.current.page === "trace" ? this.current.explore : emptyTime;
  }

  start(): void {
    addEventListener("popstate", () => this.#read());
    this.#read();
  }

  /** Starts inside of a shared file: it shows one trace, and its address follows the "#". */
  startShared(trace: string): void {
    this.#shared = trace;
    addEventListener("popstate", () => this.#read());
    addEventListener("hashchange", () => this.#read());
    this.#read();
  }

  /** Shows another trace of a file that holds several, from its beginning. */
  changeShared(trace: string): void {
    this.#shared = trace;
    this.go(this.hrefOf(trace), "replace");
  }

  /** Calls the function after each change of the address, in the order of registration. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** Calls the function whenever the reader, or the refresh interval, asks for fresh data. */
  onRefresh(refresher: () => void): void {
    this.#refreshers.push(refresher);
  }

  /** Asks again for the data of the present view. */
  refresh(): void {
    this.tick++;
    for (const refresher of this.#refreshers) refresher();
  }

  /** Opens an address of this page. */
  go(href: string, how: "push" | "replace" = "push"): void {
    if (how === "replace") history.replaceState(null, "", href);
    else if (href !== (this.#shared === "" ? location.pathname + location.search : location.hash)) history.pushState(null, "", href);
    this.#read();
  }

  /** Changes the time of the present view. */
  setTime(change: Partial<Time>): void {
    if (this.current.page === "services") this.go(servicesHref(this.current.service, { ...this.current.time, ...change }));
    else if (this.current.page === "compare") this.go(compareHref({ ...this.current.compare, ...change }));
    else this.go(exploreHref({ ...this.explore, ...change }));
  }

  /** The address of a trace beside the present results, or alone where it is alone now. */
  hrefOf(trace: string, span = "", look?: Partial<Look>): string {
    if (this.#shared !== "") return `#${traceHref(trace, span, look)}`;
    if (this.page === "trace") return traceHref(trace, span, look);
    return exploreHref({ ...this.explore, trace, span, look: { ...emptyExplore.look, ...look } });
  }

  /** The address of the present view with another look at its trace. */
  lookHref(change: Partial<Look>): string {
    const { trace, span } = this.explore;
    return this.hrefOf(trace, span, { ...this.look, ...change });
  }

  /** Changes the look at the open trace. Steps that a reader would undo one by one are pushed; continuous ones are replaced. */
  setLook(change: Partial<Look>, how: "push" | "replace" = "replace"): void {
    if (how === "push") this.settle();
    if (this.explore.trace !== "") this.go(this.lookHref(change), how);
  }

  /** Remembers the selected span in the address without a new entry in the history. */
  markSpan(span: string): void {
    const { trace } = this.explore;
    if (trace !== "" && this.explore.span !== span) this.go(this.hrefOf(trace, span, this.look), "replace");
  }

  #read(): void {
    this.current = this.#shared === "" ? parseRoute(location.pathname, location.search) : this.#readShared();
    for (const listener of this.#listeners) listener();
    this.#setTimer(refreshInterval(this.time.refresh));
  }

  /** The trace of the file, whatever the address names: there is no other. */
  #readShared(): Route {
    const [, search = ""] = location.hash.split("?");
    return parseRoute(`/trace/${this.#shared}`, search === "" ? "" : `?${search}`);
  }

  /** A hidden page asks nothing. */
  #setTimer(interval: number): void {
    if (interval === this.#interval) return;
    this.#interval = interval;
    clearInterval(this.#timer);
    if (interval > 0) this.#timer = window.setInterval(() => document.hidden || this.refresh(), interval);
  }
}

export const route = new RouteState();

/** Follows plain links of this page without reloading it. */
export function followLinks(event: MouseEvent): void {
  if (!plainLink(event)) return;
  route.settle();
  flushSync(); // the link says now where it leads
  const link = plainLink(event);
  if (!link || parseRoute(link.pathname, link.search).page === "missing") return;
  event.preventDefault();
  route.go(link.pathname + link.search);
}
