// The backend, over its public HTTP API. Every request goes to the page's own origin.

import { type Comparison, parseComparison } from "../model/compare";
import { parseTraces } from "../model/otlp";
import { type Range, resolveRange } from "../model/range";
import { parseResults, type Result, SearchLines, type SearchProgress } from "../model/search";
import type { Trace } from "../model/trace";
import { type MetricsAnswer, metricsFunction, parseInstant, parseRange, spanStep } from "../model/traceqlmetrics";
import type { UnixSeconds } from "../model/units";
import { answered, jsonOf, refuseWebPage } from "./answers";

export interface ServiceLinks {
  name: string;
  direct?: string;
  edge?: string;
  edgePath?: string;
}

/** GET /etude.json. A link that is absent or empty belongs to a part that does not run. */
export interface Info {
  version?: string;
  /** Whether the page's server answers PromQL. */
  metrics?: boolean;
  /** Whether requests can be sent through the demo. */
  walk?: boolean;
  links?: {
    edge?: string;
    dashboard?: string;
    page?: string;
    prometheus?: string;
    api?: string;
    otlpGrpc?: string;
    otlpHttp?: string;
    jaeger?: string;
    services?: ServiceLinks[];
  };
}

function get(path: string, signal?: AbortSignal): Promise<Response> {
  return answered(() => fetch(path, { headers: { Accept: "application/json" }, ...(signal ? { signal } : {}) }), signal);
}

async function getJson(path: string, signal?: AbortSignal): Promise<unknown> {
  const response = await get(path, signal);
  if (response.status === 404) throw new Error(`The backend does not know ${path.split("?")[0]}`);
  return jsonOf(response);
}

function withRange(params: Record<string, string>, range: Range): URLSearchParams {
  const { start, end } = resolveRange(range, Date.now());
  return new URLSearchParams({ ...params, start: String(start), end: String(end) });
}

export async function search(query: string, limit: number, range: Range, signal: AbortSignal): Promise<Result[]> {
  return parseResults(await getJson(`/api/search?${withRange({ q: query, limit: String(limit) }, range)}`, signal));
}

const cutOff = "The answer of the backend was cut off. Run the query again.";

/**
 * Searches, and tells of results as they come. A backend that is not etude's answers at once. Traces stay in the order
 * of the answer: the newest first.
 */
export async function searchStream(query: string, limit: number, range: Range, signal: AbortSignal, news: (found: Result[], progress: SearchProgress) => void): Promise<Result[]> {
  const params = withRange({ q: query, limit: String(limit) }, range);
  const response = await get(`/api/etude/search?${params}`, signal);
  if (response.status === 404) return parseResults(await getJson(`/api/search?${params}`, signal));
  refuseWebPage(response);
  const lines = new SearchLines();
  const reader = response.body!.getReader();
  const decoder = new TextDecoder();
  const next = () => reader.read().catch((err: unknown) => {
    throw signal.aborted ? err : new Error(cutOff);
  });
  for (let chunk = await next(); !chunk.done; chunk = await next()) {
    const before = lines.progress;
    lines.add(decoder.decode(chunk.value, { stream: true }));
    if (lines.progress && lines.progress !== before) news([...lines.results], lines.progress);
  }
  if (!lines.ended) throw new Error(cutOff);
  return lines.results;
}

export interface MetricsFound extends MetricsAnswer {
  /** The range that was asked for. */
  start: UnixSeconds;
  end: UnixSeconds;
}

/** Runs a TraceQL metrics query, over time or as one number a series. Histograms take wider steps: cells, not points. */
export async function metrics(query: string, how: "range" | "instant", range: Range, signal: AbortSignal): Promise<MetricsFound> {
  const params = withRange({ q: query }, range);
  const asked = { start: Number(params.get("start")), end: Number(params.get("end")) };
  if (how === "instant") return { ...parseInstant(await getJson(`/api/metrics/query?${params}`, signal), query), ...asked };
  const points = metricsFunction(query) === "histogram_over_time" ? 75 : 150;
  params.set("step", String(spanStep(asked.end - asked.start, points)));
  return { ...parseRange(await getJson(`/api/metrics/query_range?${params}`, signal), query), ...asked };
}

/**
 * What is wrong with a query, or "": the backend reads it, over a time range without spans. It refuses a query before
 * it looks at any.
 */
export async function checkQuery(query: string, signal: AbortSignal): Promise<string> {
  const response = await fetch(`/api/search?${new URLSearchParams({ q: query, start: "1", end: "2", limit: "1" })}`, { signal });
  return response.status === 400 ? (await response.text()).trim() : "";
}

/** Why the traces of one side take longer than those of the other. A long query does not fit an address, so it is posted. */
export async function compare(sides: { before: string; after: string; limit: string; range: Range; beforeRange: Range | undefined }, signal: AbortSignal): Promise<Comparison> {
  const form = withRange({ before: sides.before, after: sides.after, ...(sides.limit === "" ? {} : { limit: sides.limit }) }, sides.range);
  if (sides.beforeRange) {
    const { start, end } = resolveRange(sides.beforeRange, Date.now());
    form.set("beforeStart", String(start));
    form.set("beforeEnd", String(end));
  }
  const body = form.toString();
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  return parseComparison(await jsonOf(await answered(() => fetch("/api/etude/compare", { method: "POST", headers, body, signal }), signal)));
}

export interface TraceAnswer {
  /** undefined where the backend has no trace of that id. */
  trace: Trace | undefined;
  /** The backend's message about a partial trace; "" for a whole one. */
  note: string;
}

export async function fetchTrace(id: string, signal?: AbortSignal): Promise<TraceAnswer> {
  const response = await get(`/api/v2/traces/${encodeURIComponent(id)}`, signal);
  if (response.status === 404) return { trace: undefined, note: "" };
  const json = (await jsonOf(response)) as { status?: string; message?: string };
  return { trace: parseTraces(json)[0], note: json.status === "PARTIAL" ? json.message || "This is only a part of the trace" : "" };
}

/** Names of attributes, each after its scope: "resource.os.type". */
export async function tagNames(range: Range): Promise<string[]> {
  const json = (await getJson(`/api/v2/search/tags?${withRange({ limit: "1000" }, range)}`)) as { scopes?: { name?: string; tags?: string[] }[] };
  const known = (json.scopes ?? []).filter((s) => s.name !== "intrinsic");
  return known.flatMap((s) => (s.tags ?? []).map((tag) => `${s.name}.${tag}`)).sort();
}

export async function tagValues(tag: string, range: Range): Promise<string[]> {
  const json = (await getJson(`/api/v2/search/tag/${encodeURIComponent(tag)}/values?${withRange({ limit: "1000" }, range)}`)) as { tagValues?: { value?: string }[] };
  return (json.tagValues ?? []).map((v) => v.value ?? "").filter((v) => v !== "").sort();
}

export async function fetchInfo(): Promise<Info> {
  return (await getJson("/etude.json")) as Info;
}
