// A stand-in for Prometheus and for TraceQL metrics in `npm run dev`. It evaluates nothing: it reads from a query what
// it is about and answers numbers that look like a small shop.

import { random } from "./traces.ts";

type Labels = Record<string, string>;

const edges: Labels[] = [
  { client: "user", server: "edge", connection_type: "virtual_node" },
  { client: "edge", server: "uservice3" },
  { client: "uservice3", server: "uservice4" },
  { client: "edge", server: "shop-web" },
  { client: "shop-web", server: "cart" },
  { client: "shop-web", server: "mail", connection_type: "messaging_system" },
  { client: "cart", server: "redis", connection_type: "database" },
];

const spans: Labels[] = [
  ["edge", "EntryPoint web uservice3.localhost", "SERVER"],
  ["edge", "forward uservice3/uservice3@file", "CLIENT"],
  ["uservice3", "handle_incoming_call", "SERVER"],
  ["uservice3", "redis_call", "INTERNAL"],
  ["uservice4", "handle_incoming_call", "SERVER"],
  ["shop-web", "POST /checkout", "SERVER"],
  ["cart", "GET /cart/{id}", "SERVER"],
  ["mail", "order.created process", "CONSUMER"],
].map(([service = "", span_name = "", kind = ""]) => ({ service, span_name, span_kind: `SPAN_KIND_${kind}` }));

const bounds = ["0.128", "0.256", "0.512", "1.024", "2.048", "4.096", "+Inf"];

/** The answer to GET or POST /api/v1/{path}, or undefined for a path that the mock does not know. */
export function prometheus(path: string, params: URLSearchParams, traceIds: string[]): object | undefined {
  const query = params.get("query") ?? "";
  const [start, end, step] = ["start", "end", "step"].map((name) => Number(params.get(name) ?? 0)) as [number, number, number];
  const time = Number(params.get("time") ?? Date.now() / 1000);
  if (path === "query") return success({ resultType: "vector", result: groups(query).map((metric) => ({ metric, value: [time, String(valueAt(query, metric, time))] })) });
  if (path === "query_range") return success({ resultType: "matrix", result: groups(query).map((metric) => ({ metric, values: timesOf(start, end, step).map((t) => [t, String(valueAt(query, metric, t))]) })) });
  if (path === "query_exemplars") return success([{ seriesLabels: {}, exemplars: exemplars(traceIds, start, end) }]);
  if (path === "label/__name__/values") return success(["up", "traces_spanmetrics_calls_total", "traces_spanmetrics_latency_bucket", "traces_service_graph_request_total"]);
  if (path === "labels") return success(["__name__", "client", "server", "service", "span_name"]);
  if (path === "targets") return success({ activeTargets: targets() });
  if (path.startsWith("status/") || path === "metadata") return success({ version: "mock", startTime: new Date().toISOString() });
  return undefined;
}

function success(data: object): object {
  return { status: "success", data };
}

function timesOf(start: number, end: number, step: number): number[] {
  return Array.from({ length: Math.max(1, Math.floor((end - start) / Math.max(1, step)) + 1) }, (_, i) => start + i * step);
}

/** The label sets of the answer: one for each group that the innermost "by" makes. */
function groups(query: string): Labels[] {
  const by = /by \(([^)]*)\)/.exec(query)?.[1]?.split(/,\s*/) ?? [];
  const service = /[{,]service="([^"]*)"/.exec(query)?.[1];
  const source = query.includes("service_graph") ? edges : spans.filter((s) => service === undefined || s["service"] === service);
  if (query.includes("failed") && query.includes("service_graph")) return edges.slice(1, 2);
  const unique = new Map(source.map((labels) => pick(labels, by)).map((labels) => [JSON.stringify(labels), labels]));
  const made = [...unique.values()];
  return by.includes("le") && !query.includes("histogram_quantile") ? made.flatMap((m) => bounds.map((le) => ({ ...m, le }))) : made;
}

function pick(labels: Labels, by: string[]): Labels {
  return Object.fromEntries(by.flatMap((key) => (labels[key] === undefined ? [] : [[key, labels[key]]])));
}

function valueAt(query: string, labels: Labels, time: number): number {
  const seed = [...JSON.stringify({ ...labels, le: "" })].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) % 1e6, 7);
  const wave = 1 + 0.4 * Math.sin(time / 400 + seed) + 0.2 * random(seed + Math.floor(time / 15))();
  const quantile = Number(/histogram_quantile\(([\d.]+)/.exec(query)?.[1] ?? 0);
  if (quantile > 0) return (0.1 + (seed % 10) / 10) * (0.5 + quantile) * wave;
  if (labels["le"] !== undefined) return Math.round(10 * wave * (bounds.indexOf(labels["le"]) / (bounds.length - 1)) ** 2);
  if (query.includes("STATUS_CODE_ERROR") || query.includes("failed")) return seed % 3 === 0 ? 0.04 * wave : 0;
  return (0.3 + (seed % 8)) * wave;
}

function exemplars(traceIds: string[], start: number, end: number): object[] {
  return traceIds.map((id, i) => ({ labels: { traceID: id.replace(/^0+/, "") }, value: String(0.3 + (i % 5) / 3), timestamp: start + ((i + 0.5) / traceIds.length) * (end - start) }));
}

function targets(): object[] {
  const at = (pool: string, health: string, lastError: string) => ({ scrapePool: pool, scrapeUrl: `http://127.0.0.1/${pool}/metrics`, labels: { job: pool }, health, lastError, lastScrape: new Date(Date.now() - 4000).toISOString(), lastScrapeDuration: 0.004, scrapeInterval: "15s" });
  return [at("etude", "up", ""), at("tempo", "down", "dial tcp 127.0.0.1:3200: connect: connection refused")];
}

/** The answer to GET /api/metrics/query_range and /query for a query that is grouped by service, whatever it computes. */
export function traceqlMetrics(params: URLSearchParams, instant: boolean, traceIds: string[]): object {
  const q = params.get("q") ?? "";
  const [start, end] = [Number(params.get("start")), Number(params.get("end"))];
  const key = q.includes("histogram_over_time") ? "__bucket" : q.includes("quantile_over_time") ? "p" : "resource.service.name";
  const values = key === "__bucket" ? [0.5, 1, 2, 4] : key === "p" ? [0.5, 0.95, 0.99] : ["edge", "uservice3", "uservice4"];
  const series = values.map((v, i) => {
    const labels = [{ key, value: typeof v === "number" ? { doubleValue: v } : { stringValue: v } }];
    if (instant) return { labels, value: 1 + i };
    const samples = timesOf(start, end, 30).map((t) => ({ timestampMs: String(t * 1000), value: (i + 1) * (1 + 0.5 * Math.sin(t / 300 + i)) }));
    return { labels, samples, exemplars: i > 0 ? [] : exemplarsOfSpans(traceIds, start, end) };
  });
  return { series, metrics: {} };
}

function exemplarsOfSpans(traceIds: string[], start: number, end: number): object[] {
  return traceIds.map((id, i) => ({
    labels: [{ key: "duration", value: { stringValue: "1.5s" } }, { key: "trace:id", value: { stringValue: id.replace(/^0+/, "") } }],
    value: 1.5,
    timestampMs: String(Math.round((start + ((i + 0.5) / traceIds.length) * (end - start)) * 1000)),
  }));
}
