// Which service called which, read from whole traces: the service graph without a metrics store.
//
// A call is a span whose parent belongs to another service. A CLIENT or PRODUCER span without children called
// something that sent no spans of its own: it becomes a dashed node, named by the best address that the span has.

import type { Trace } from "./trace";
import type { Nanoseconds, SpanIndex } from "./units";
import { formatValue } from "./value";

export interface GraphNode {
  name: string;
  calls: number;
  errors: number;
  totalDuration: Nanoseconds;
  /** False for services that are only seen from outside. */
  instrumented: boolean;
}

export interface GraphEdge {
  from: string;
  to: string;
  calls: number;
  errors: number;
  totalDuration: Nanoseconds;
}

export interface ServiceGraph {
  nodes: GraphNode[];
  edges: GraphEdge[];
}

export function buildGraph(traces: Trace[]): ServiceGraph {
  const nodes = new Map<string, GraphNode>();
  const edges = new Map<string, GraphEdge>();
  for (const trace of traces) {
    for (let i = 0; i < trace.length; i++) addSpan(trace, i, nodes, edges);
  }
  const byName = <T>(key: (t: T) => string) => (a: T, b: T): number => key(a).localeCompare(key(b));
  return {
    nodes: [...nodes.values()].sort(byName((n) => n.name)),
    edges: [...edges.values()].sort(byName((e) => `${e.from}\0${e.to}`)),
  };
}

function addSpan(t: Trace, i: SpanIndex, nodes: Map<string, GraphNode>, edges: Map<string, GraphEdge>): void {
  const service = t.spans[i]!.resource.service;
  const parent = t.parents[i]!;
  const caller = parent < 0 ? undefined : t.spans[parent]!.resource.service;
  const node = upsert(nodes, service, () => newNode(service, true));
  node.instrumented = true;
  if (caller !== service) addCall(node, t, i);
  if (caller !== undefined && caller !== service) addCall(edge(edges, caller, service), t, i);
  const peer = silentPeer(t, i);
  if (peer === undefined || peer === service) return;
  addCall(upsert(nodes, peer, () => newNode(peer, false)), t, i);
  addCall(edge(edges, service, peer), t, i);
}

function newNode(name: string, instrumented: boolean): GraphNode {
  return { name, calls: 0, errors: 0, totalDuration: 0, instrumented };
}

function edge(edges: Map<string, GraphEdge>, from: string, to: string): GraphEdge {
  return upsert(edges, `${from}\0${to}`, () => ({ from, to, calls: 0, errors: 0, totalDuration: 0 }));
}

function upsert<T>(map: Map<string, T>, key: string, make: () => T): T {
  const found = map.get(key);
  if (found) return found;
  const made = make();
  map.set(key, made);
  return made;
}

function addCall(to: GraphNode | GraphEdge, t: Trace, i: SpanIndex): void {
  to.calls++;
  to.errors += t.errors[i]!;
  to.totalDuration += t.durations[i]!;
}

const addressKeys = ["peer.service", "db.name", "db.system", "messaging.system", "server.address", "http.host", "net.peer.name"];

function silentPeer(t: Trace, i: SpanIndex): string | undefined {
  const span = t.spans[i]!;
  if (t.childCounts[i] !== 0 || (span.kind !== "client" && span.kind !== "producer")) return undefined;
  for (const key of addressKeys) {
    const found = span.attributes.find((a) => a.key === key);
    if (found) return formatValue(found.value);
  }
  return undefined;
}
