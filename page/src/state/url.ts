// The address is the state: every view of the page can be copied, sent and opened again.
//
// Ours:   /explore?tab=traceql&q=...&service=&name=&tags=&min=&max=&limit=&from=&to=&refresh=&metrics=&order=&show=&trace=&span=
//         /walk   /walk/STEP   /labs   /labs/NAME
//         /compare?before=&after=&from=&to=&beforeFrom=&beforeTo=&limit=
//         /services?from=&to=&refresh=   /services/NAME   and   /trace/ID?span=
//         An open trace adds how it is looked at: &view=&find=&rest=&zoom=&folds=&sort=&group=&path=&skew=
// Older:  /explore?orgId=1&left={"queries":[{"queryType":"nativeSearch",...}],"range":{...}}  and its successor
//         with panes={"x":{...}}: read, never written.
// Values equal to their default are left out.

import { isTraceId } from "../model/ids";
import { emptyForm, type Form } from "../model/query";
import { defaultRange, type Range, refreshInterval } from "../model/range";

export type Tab = "search" | "traceql" | "json" | "graph";

/** The time range of a view, and its refresh interval: "" for never. */
export interface Time {
  range: Range;
  refresh: string;
}

export const traceViews = ["waterfall", "flame", "table", "sequence", "services"] as const;
export type TraceView = (typeof traceViews)[number];

/** How an open trace is looked at. */
export interface Look {
  view: TraceView;
  /** The text of the filter bar, as model/filter.ts reads it. */
  find: string;
  /** Whether spans that do not match stay in sight. */
  rest: boolean;
  /** "from-to" in nanoseconds from the start of the trace; "" for all of it. */
  zoom: string;
  /** Which rows are folded, as layout/rows.ts writes it; "" for the defaults. */
  folds: string;
  /** A column of the table, with "-" in front for descending. */
  sort: string;
  /** The grouping of the table and the flame graph: "" for single spans. */
  group: string;
  /** Whether the critical path is marked. */
  path: boolean;
  /** Whether clock skew is corrected. */
  skew: boolean;
}

export const emptyLook: Look = { view: "waterfall", find: "", rest: false, zoom: "", folds: "", sort: "", group: "", path: true, skew: true };

export interface Explore extends Time {
  tab: Tab;
  form: Form;
  query: string;
  /** How a metrics query is asked: over time, or as one number for the whole range. */
  metrics: "range" | "instant";
  /** How results are sorted: a column, with "-" in front for descending; "" for newest first. "slowest" asks for the slowest of the whole range. */
  order: string;
  /** Whether results are traces, or the spans that matched. */
  show: "traces" | "spans";
  trace: string;
  span: string;
  look: Look;
}

/** The steps of the walk, in their order. */
export const walkSteps = ["dark", "traced", "break"] as const;
export type WalkStep = (typeof walkSteps)[number];

/** Two sides: each the id of a trace or a TraceQL query; before may be "usual". */
export interface Compare extends Time {
  before: string;
  after: string;
  /** Where before has a time range of its own. */
  beforeRange: Range | undefined;
  /** Traces of a side; "" for the backend's default. */
  limit: string;
}

export type Route =
  | { page: "home" }
  | { page: "walk"; step: WalkStep }
  /** lab is "" for the list of all. */
  | { page: "labs"; lab: string }
  | { page: "explore"; explore: Explore }
  | { page: "trace"; explore: Explore }
  /** service is "" for the list of all. */
  | { page: "services"; service: string; time: Time }
  | { page: "compare"; compare: Compare }
  | { page: "missing" };

export const emptyTime: Time = { range: defaultRange, refresh: "" };
export const emptyExplore: Explore = { tab: "search", form: emptyForm, query: "", ...emptyTime, metrics: "range", order: "", show: "traces", trace: "", span: "", look: emptyLook };

export function parseRoute(path: string, search: string): Route {
  const params = new URLSearchParams(search);
  if (path === "/" || path === "/index.html") return { page: "home" };
  if (path === "/explore" || path === "/explore/") return { page: "explore", explore: parseExplore(params) };
  const walk = /^\/walk(?:\/(\w+))?\/?$/.exec(path);
  const step = walkSteps.find((name) => name === (walk?.[1] ?? "dark"));
  if (walk && step) return { page: "walk", step };
  const lab = /^\/labs(?:\/([^/]*))?\/?$/.exec(path);
  if (lab) return { page: "labs", lab: decoded(lab[1] ?? "") };
  const id = /^\/trace\/([^/]+)\/?$/.exec(path)?.[1];
  if (id !== undefined) return { page: "trace", explore: { ...parseExplore(params), trace: decoded(id) } };
  const service = /^\/services(?:\/([^/]*))?\/?$/.exec(path);
  if (path === "/compare" || path === "/compare/") return { page: "compare", compare: parseCompare(params) };
  if (service) return { page: "services", service: decoded(service[1] ?? ""), time: parseTime(params) };
  return { page: "missing" };
}

/** A part of a path; bytes that are no UTF-8 stay escaped, so that a mistyped address opens a view that says so. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function parseTime(params: URLSearchParams): Time {
  const refresh = params.get("refresh") ?? "";
  return {
    range: { from: params.get("from") || defaultRange.from, to: params.get("to") || defaultRange.to },
    refresh: refreshInterval(refresh) > 0 ? refresh : "",
  };
}

function parseCompare(params: URLSearchParams): Compare {
  const get = (name: string): string => params.get(name) ?? "";
  const [from, to] = [get("beforeFrom"), get("beforeTo")];
  return { before: get("before"), after: get("after"), ...parseTime(params), beforeRange: from !== "" && to !== "" ? { from, to } : undefined, limit: get("limit") };
}

function parseExplore(params: URLSearchParams): Explore {
  const pane = olderPane(params);
  if (pane) return fromPane(pane);
  const get = (name: string): string => params.get(name) ?? "";
  const tab = (["traceql", "json", "graph"] as const).find((t) => t === get("tab")) ?? "search";
  return {
    tab,
    form: { service: get("service"), name: get("name"), tags: get("tags"), min: get("min"), max: get("max"), limit: get("limit") },
    query: get("q"),
    ...parseTime(params),
    metrics: get("metrics") === "instant" ? "instant" : "range",
    order: get("order"),
    show: get("show") === "spans" ? "spans" : "traces",
    trace: get("trace"),
    span: get("span"),
    look: parseLook(params),
  };
}

function parseLook(params: URLSearchParams): Look {
  const get = (name: string): string => params.get(name) ?? "";
  return {
    view: traceViews.find((v) => v === get("view")) ?? "waterfall",
    find: get("find"),
    rest: get("rest") === "on",
    zoom: get("zoom"),
    folds: get("folds"),
    sort: get("sort"),
    group: get("group"),
    path: get("path") !== "off",
    skew: get("skew") !== "off",
  };
}

interface Pane {
  queries?: Record<string, unknown>[];
  range?: { from?: unknown; to?: unknown };
}

function olderPane(params: URLSearchParams): Pane | undefined {
  try {
    const left: unknown = JSON.parse(params.get("left") ?? "null");
    // The oldest form of all is an array: [from, to, data source, query].
    if (Array.isArray(left)) return { queries: left.filter(isObject), range: { from: left[0], to: left[1] } };
    if (isObject(left)) return left;
    const panes: unknown = JSON.parse(params.get("panes") ?? "null");
    const first = isObject(panes) ? Object.values(panes)[0] : undefined;
    return isObject(first) ? first : undefined;
  } catch {
    return undefined;
  }
}

function fromPane(pane: Pane): Explore {
  const query = Array.isArray(pane.queries) && isObject(pane.queries[0]) ? pane.queries[0] : {};
  const get = (name: string): string => {
    const value = query[name];
    return typeof value === "string" || typeof value === "number" ? String(value) : "";
  };
  const range = { from: text(pane.range?.from) || defaultRange.from, to: text(pane.range?.to) || defaultRange.to };
  const form: Form = {
    service: get("serviceName"),
    name: get("spanName"),
    tags: get("search"),
    min: get("minDuration"),
    max: get("maxDuration"),
    limit: get("limit") === "20" ? "" : get("limit"),
  };
  const typed = ["traceql", "traceId", "traceqlSearch"].includes(get("queryType")) || get("queryType") === "";
  const typedQuery = typed ? get("query").trim() : "";
  if (isTraceId(typedQuery) && typedQuery !== "") return { ...emptyExplore, form, range, trace: typedQuery };
  const tab: Tab = get("queryType") === "serviceMap" ? "graph" : get("queryType") === "upload" ? "json" : typedQuery !== "" ? "traceql" : "search";
  return { ...emptyExplore, tab, form, query: typedQuery, range };
}

function isObject(json: unknown): json is Record<string, unknown> {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function text(json: unknown): string {
  return typeof json === "string" || typeof json === "number" ? String(json) : "";
}

/** The address of a view of /explore. parseRoute of it gives the same state again. */
export function exploreHref(explore: Partial<Explore>): string {
  const e = { ...emptyExplore, ...explore };
  const params = new URLSearchParams();
  const put = (name: string, value: string, unless = ""): void => {
    if (value !== unless) params.set(name, value);
  };
  put("tab", e.tab, "search");
  for (const field of ["service", "name", "tags", "min", "max"] as const) put(field, e.form[field]);
  put("limit", e.form.limit);
  put("q", e.query);
  putTime(put, e);
  put("metrics", e.metrics, "range");
  put("order", e.order);
  put("show", e.show, "traces");
  put("trace", e.trace);
  if (e.trace !== "") putLook(put, e.span, e.look);
  return withQuery("/explore", params);
}

function putLook(put: (name: string, value: string, unless?: string) => void, span: string, look: Look): void {
  put("span", span);
  put("view", look.view, "waterfall");
  put("find", look.find);
  put("rest", look.rest ? "on" : "");
  for (const name of ["zoom", "folds", "sort", "group"] as const) put(name, look[name]);
  put("path", look.path ? "" : "off");
  put("skew", look.skew ? "" : "off");
}

function putTime(put: (name: string, value: string, unless?: string) => void, time: Time): void {
  put("from", time.range.from, defaultRange.from);
  put("to", time.range.to, defaultRange.to);
  put("refresh", time.refresh);
}

function withQuery(path: string, params: URLSearchParams): string {
  const query = params.toString();
  return query === "" ? path : `${path}?${query}`;
}

/** The address of one service, or of the list of all for "". */
export function servicesHref(service: string, time: Time): string {
  const params = new URLSearchParams();
  putTime((name, value, unless = "") => value !== unless && params.set(name, value), time);
  return withQuery(service === "" ? "/services" : `/services/${encodeURIComponent(service)}`, params);
}

/** The address of a step of the walk. */
export function walkHref(step: WalkStep): string {
  return step === "dark" ? "/walk" : `/walk/${step}`;
}

/** The address of a comparison. */
export function compareHref(compare: Partial<Compare>): string {
  const c = { before: "", after: "", beforeRange: undefined, limit: "", ...emptyTime, ...compare };
  const params = new URLSearchParams();
  const put = (name: string, value: string, unless = ""): void => {
    if (value !== unless) params.set(name, value);
  };
  put("before", c.before);
  put("after", c.after);
  putTime(put, c);
  put("beforeFrom", c.beforeRange?.from ?? "");
  put("beforeTo", c.beforeRange?.to ?? "");
  put("limit", c.limit);
  return withQuery("/compare", params);
}

/** The address of a lab, or of the list of all for "". */
export function labsHref(lab: string): string {
  return lab === "" ? "/labs" : `/labs/${encodeURIComponent(lab)}`;
}

/** The address of a trace alone on the page. */
export function traceHref(trace: string, span = "", look: Partial<Look> = {}): string {
  const params = new URLSearchParams();
  putLook((name, value, unless = "") => value !== unless && params.set(name, value), span, { ...emptyLook, ...look });
  return withQuery(`/trace/${encodeURIComponent(trace)}`, params);
}
