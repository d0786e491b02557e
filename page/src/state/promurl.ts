// The address of the start page of Prometheus, in the words of the real one, so that links to it work on both:
//
//   /query?g0.expr=up&g0.tab=graph&g0.range_input=1h&g0.end_input=2026-11-24+19:05:09    /graph is its older name
//   /targets   /status
//
// One expression a page: g1 and later are not read. Values equal to their default are left out.

import type { Seconds, UnixMilliseconds } from "../model/units";

export interface Asked {
  expression: string;
  tab: "table" | "graph";
  /** How long the graph is, such as 1h or 2d. */
  range: string;
  /** Where the graph ends, and when the table is evaluated: a point in UTC, or "" for now. */
  end: string;
}

export type PrometheusRoute = { page: "query"; asked: Asked } | { page: "targets" } | { page: "status" } | { page: "missing" };

export const emptyAsked: Asked = { expression: "", tab: "table", range: "1h", end: "" };

export function parsePrometheusRoute(path: string, search: string): PrometheusRoute {
  if (path === "/targets" || path === "/status") return { page: path === "/targets" ? "targets" : "status" };
  if (!["/", "/graph", "/query", "/prometheus.html"].includes(path)) return { page: "missing" };
  const params = new URLSearchParams(search);
  const get = (name: string): string => params.get(`g0.${name}`) ?? "";
  // Older links number the tabs and call the end a moment.
  const tab = get("tab") === "graph" || get("tab") === "0" ? "graph" : "table";
  const range = rangeSeconds(get("range_input")) === undefined ? emptyAsked.range : get("range_input");
  const end = get("end_input") || get("moment_input");
  return { page: "query", asked: { expression: get("expr"), tab, range, end: endTime(end) === undefined ? "" : end } };
}

export function queryHref(asked: Asked): string {
  const params = new URLSearchParams();
  const put = (name: string, value: string, unless: string): void => {
    if (value !== unless) params.set(`g0.${name}`, value);
  };
  put("expr", asked.expression, "");
  put("tab", asked.tab, emptyAsked.tab);
  put("range_input", asked.range, emptyAsked.range);
  put("end_input", asked.end, "");
  const query = params.toString();
  return query === "" ? "/query" : `/query?${query}`;
}

const units: Record<string, Seconds> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, y: 31_536_000 };

/** A Prometheus duration in seconds, or undefined where it is none: 90s, 1h30m, 2w. */
export function rangeSeconds(text: string): Seconds | undefined {
  if (!/^(\d+[smhdwy])+$/.test(text)) return undefined;
  const total = [...text.matchAll(/(\d+)([smhdwy])/g)].reduce((sum, m) => sum + Number(m[1]) * units[m[2]!]!, 0);
  return total > 0 ? total : undefined;
}

/** "2026-11-24 19:05:09" in UTC. */
export function endTime(text: string): UnixMilliseconds | undefined {
  if (!/^\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?$/.test(text)) return undefined;
  const time = Date.parse(`${text.replace(" ", "T")}Z`);
  return Number.isNaN(time) ? undefined : time;
}

export function endText(ms: UnixMilliseconds): string {
  return new Date(ms).toISOString().slice(0, 19).replace("T", " ");
}
