// The service graph from metrics: edges from the service graph's series, services from the span metrics.

import { edgeKey, type EdgeKind, type GraphEdge, type GraphNode, type NodeKind, peerAttributes, type ServiceGraph, sortGraph } from "./graph";
import type { Sample } from "./prometheus";
import type { PerSecond } from "./units";
import { quote } from "./value";

/** Answers of the queries of promql.ts: by (client, server, connection_type) for edges, by (service) for services. */
export interface MapAnswers {
  edgeCount: Sample[];
  edgeRate: Sample[];
  edgeFailed: Sample[];
  edgeP95: Sample[];
  count: Sample[];
  rate: Sample[];
  errors: Sample[];
  p95: Sample[];
}

interface EdgeSum {
  from: string;
  to: string;
  kind: EdgeKind;
  count: number | undefined;
  rate: PerSecond;
  failed: PerSecond;
  p95: number | undefined;
}

export function serviceMap(answers: MapAnswers): ServiceGraph {
  const edges = sumEdges(answers);
  const services = new Map(answers.rate.map((s) => [s.labels["service"] ?? "", s.value]));
  const counts = byService(answers.count);
  const errors = byService(answers.errors);
  const p95 = byService(answers.p95);
  const names = new Set([...services.keys(), ...edges.flatMap((e) => [e.from, e.to])]);
  names.delete("");
  const nodes = [...names].map((name): GraphNode => {
    const kind = kindOf(name, services, edges);
    if (services.has(name)) return { name, kind, amount: services.get(name), count: finite(counts.get(name)), errorShare: errors.get(name) ?? 0, duration: finite(p95.get(name)) };
    return { name, kind, ...seenFromOutside(name, edges) };
  });
  return sortGraph({ source: "metrics", nodes, edges: edges.map(finished) });
}

function byService(samples: Sample[]): Map<string, number> {
  return new Map(samples.map((s) => [s.labels["service"] ?? "", s.value]));
}

/** One edge for a pair of names and a kind: two services may talk by calls and by messages at once. */
function sumEdges({ edgeCount, edgeRate, edgeFailed, edgeP95 }: MapAnswers): EdgeSum[] {
  const edges = new Map<string, EdgeSum>();
  const key = (s: Sample): string => edgeKey({ from: s.labels["client"] ?? "", to: s.labels["server"] ?? "", kind: edgeKind(s) });
  for (const s of edgeRate) {
    if (!s.labels["client"] || !s.labels["server"]) continue; // the series of all edges past the generator's bound
    const found = edges.get(key(s));
    if (found) found.rate += s.value;
    else edges.set(key(s), { from: s.labels["client"] ?? "", to: s.labels["server"] ?? "", kind: edgeKind(s), count: undefined, rate: s.value, failed: 0, p95: undefined });
  }
  const each = (samples: Sample[], add: (edge: EdgeSum, value: number) => void): void => {
    for (const s of samples) {
      const edge = edges.get(key(s));
      if (edge && Number.isFinite(s.value)) add(edge, s.value);
    }
  };
  each(edgeCount, (edge, value) => (edge.count = (edge.count ?? 0) + value));
  each(edgeFailed, (edge, value) => (edge.failed += value));
  each(edgeP95, (edge, value) => (edge.p95 = Math.max(edge.p95 ?? 0, value)));
  return [...edges.values()];
}

function edgeKind(s: Sample): EdgeKind {
  const kinds: Record<string, EdgeKind> = { messaging_system: "message", database: "database", virtual_node: "virtual" };
  return kinds[s.labels["connection_type"] ?? ""] ?? "call";
}

/** A service is what sends spans: one with span metrics, or an end of an edge of which both ends were seen. */
function kindOf(name: string, services: Map<string, PerSecond>, edges: EdgeSum[]): NodeKind {
  if (services.has(name)) return "service";
  const touching = edges.filter((e) => e.from === name || e.to === name);
  if (touching.some((e) => e.kind === "call" || e.kind === "message" || (e.kind === "database" && e.from === name))) return "service";
  return touching.some((e) => e.kind === "database") ? "database" : "virtual";
}

/** The figures of a node without spans: those that its callers saw, or those that it sent if it has no caller. */
function seenFromOutside(name: string, edges: EdgeSum[]): Pick<GraphNode, "amount" | "count" | "errorShare" | "duration"> {
  const incoming = edges.filter((e) => e.to === name);
  const seen = incoming.length > 0 ? incoming : edges.filter((e) => e.from === name);
  const rate = seen.reduce((sum, e) => sum + e.rate, 0);
  const failed = seen.reduce((sum, e) => sum + e.failed, 0);
  const p95 = seen.reduce<number | undefined>((max, e) => (e.p95 === undefined ? max : Math.max(max ?? 0, e.p95)), undefined);
  const counted = seen.filter((e) => e.count !== undefined);
  return { amount: rate, count: counted.length > 0 ? counted.reduce((sum, e) => sum + e.count!, 0) : undefined, errorShare: rate > 0 ? failed / rate : 0, duration: p95 };
}

function finished(e: EdgeSum): GraphEdge {
  return { from: e.from, to: e.to, kind: e.kind, amount: e.rate, count: e.count, errorShare: e.rate > 0 ? Math.min(1, e.failed / e.rate) : 0, duration: e.p95 };
}

function finite(value: number | undefined): number | undefined {
  return value !== undefined && Number.isFinite(value) ? value : undefined;
}

function isPeer(name: string): string {
  return peerAttributes.map((key) => `span.${key}=${quote(name)}`).join(" || ");
}

/** The TraceQL that finds the traces of a node. */
export function nodeQuery(node: GraphNode, graph: ServiceGraph): string {
  if (node.kind === "service") return `{ resource.service.name=${quote(node.name)} }`;
  const calls = graph.edges.filter((e) => e.from === node.name);
  if (calls.length > 0 && !graph.edges.some((e) => e.to === node.name)) return edgeQuery(calls[0]!);
  return `{ ${isPeer(node.name)} }`;
}

/**
 * The TraceQL that finds the traces of an edge: spans of one service below spans of the other; the calling span
 * alone where the other side sends none; the first span of a trace where the caller is outside.
 */
export function edgeQuery(edge: GraphEdge, failedOnly = false): string {
  const [from, to] = [quote(edge.from), quote(edge.to)];
  const status = failedOnly ? " && status=error" : "";
  if (edge.kind === "call" || edge.kind === "message") {
    const [sends, receives] = edge.kind === "message" ? [" && kind=producer", " && kind=consumer"] : ["", ""];
    const both = `{ resource.service.name=${from}${sends} } > { resource.service.name=${to}${receives}${status} }`;
    // An edge has failed when either of its spans has.
    return failedOnly ? `(${both}) || ({ resource.service.name=${from}${sends}${status} } > { resource.service.name=${to}${receives} })` : both;
  }
  if (edge.from === "user" && edge.kind === "virtual") return `{ resource.service.name=${to} && kind=server && nestedSetParent<0${status} }`;
  return `{ resource.service.name=${from} && (${isPeer(edge.to)})${status} }`;
}
