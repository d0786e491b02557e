// The address is the state: every view of the page can be copied, sent and opened again.
//
// Ours:   /explore?tab=traceql&q=...&service=&name=&tags=&min=&max=&limit=&from=&to=&trace=&span=   and   /trace/ID?span=
// Older:  /explore?orgId=1&left={"queries":[{"queryType":"nativeSearch",...}],"range":{...}}  and its successor
//         with panes={"x":{...}}: read, never written.
// What equals its default is left out.

import { isTraceId } from "../model/ids";
import { emptyForm, type Form } from "../model/query";
import { defaultRange, type Range } from "../model/range";

export type Tab = "search" | "traceql" | "json" | "graph";

export interface Explore {
  tab: Tab;
  form: Form;
  query: string;
  range: Range;
  trace: string;
  span: string;
}

export type Route = { page: "home" } | { page: "explore"; explore: Explore } | { page: "trace"; explore: Explore } | { page: "missing" };

export const emptyExplore: Explore = { tab: "search", form: emptyForm, query: "", range: defaultRange, trace: "", span: "" };

export function parseRoute(path: string, search: string): Route {
  const params = new URLSearchParams(search);
  if (path === "/" || path === "/index.html") return { page: "home" };
  if (path === "/explore" || path === "/explore/") return { page: "explore", explore: parseExplore(params) };
  const id = /^\/trace\/([^/]+)\/?$/.exec(path)?.[1];
  if (id !== undefined) return { page: "trace", explore: { ...parseExplore(params), trace: decodeURIComponent(id) } };
  return { page: "missing" };
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
    range: { from: get("from") || defaultRange.from, to: get("to") || defaultRange.to },
    trace: get("trace"),
    span: get("span"),
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
  return { tab, form, query: typedQuery, range, trace: "", span: "" };
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
  put("from", e.range.from, defaultRange.from);
  put("to", e.range.to, defaultRange.to);
  put("trace", e.trace);
  put("span", e.span);
  const query = params.toString();
  return query === "" ? "/explore" : `/explore?${query}`;
}

/** The address of a trace alone on the page. */
export function traceHref(trace: string, span = ""): string {
  return `/trace/${encodeURIComponent(trace)}${span === "" ? "" : `?span=${encodeURIComponent(span)}`}`;
}
