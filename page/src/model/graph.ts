// Which service called which, read from whole traces: the service graph without a metrics store.
//
// A call is a span whose parent belongs to another service. A CLIENT or PRODUCER span without children called
// something that sent no spans of its own: it becomes a dashed node, named by the best address that the span has.

import { kindOf, serviceOf, spanAt, type Trace } from "./trace";
import type { Nanoseconds, Seconds, Share, SpanIndex } from "./units";
import { formatValue } from "./value";

/** service sends spans of its own; the others are seen only from outside, by what their callers say. */
export type NodeKind = "service" | "database" | "virtual";
export type EdgeKind = "call" | "message" | "database" | "virtual";

/** The traffic of a node or an edge. The meaning of amount and duration depends on the source of the graph. */
export interface Traffic {
  /** From traces: calls that were counted. From metrics: calls a second, undefined where there is no series. */
  amount: number | undefined;
  /** Calls that were counted, in either case; undefined where there is no series. */
  count: number | undefined;
  errorShare: Share;
  /** From traces: the mean. From metrics: the 95th percentile. undefined where nothing was measured. */
  duration: Seconds | undefined;
}

export interface GraphNode extends Traffic {
  name: string;
  kind: NodeKind;
}

export interface GraphEdge extends Traffic {
  from: string;
  to: string;
  kind: EdgeKind;
}

/** The identity of an edge of a graph: between two services there is one of each kind at most. */
export function edgeKey(e: Pick<GraphEdge, "from" | "to" | "kind">): string {
  return `${e.from}\0${e.to}\0${e.kind}`;
}

export interface ServiceGraph {
  source: "traces" | "metrics";
  nodes: GraphNode[];
  edges: GraphEdge[];
}

interface Tally {
  calls: number;
  errors: number;
  totalDuration: Nanoseconds;
}

type NodeTally = Tally & { name: string; instrumented: boolean };
type EdgeTally = Tally & { from: string; to: string };

export function buildGraph(traces: Trace[]): ServiceGraph {
  const nodes = new Map<string, NodeTally>();
  const edges = new Map<string, EdgeTally>();
  for (const trace of traces) {
    for (let i = 0; i < trace.length; i++) addSpan(trace, i, nodes, edges);
  }
  return sortGraph({
    source: "traces",
    nodes: [...nodes.values()].map((n) => ({ name: n.name, kind: n.instrumented ? "service" : "virtual", ...traffic(n) })),
    edges: [...edges.values()].map((e) => ({ from: e.from, to: e.to, kind: nodes.get(e.to)!.instrumented ? "call" : "virtual", ...traffic(e) })),
  });
}

function traffic(tally: Tally): Traffic {
  const { calls, errors, totalDuration } = tally;
  return { amount: calls, count: calls, errorShare: calls === 0 ? 0 : errors / calls, duration: calls === 0 ? undefined : totalDuration / calls / 1e9 };
}

/** By name, so that the same graph is drawn the same way every time. */
export function sortGraph(graph: ServiceGraph): ServiceGraph {
  graph.nodes.sort((a, b) => a.name.localeCompare(b.name));
  graph.edges.sort((a, b) => a.from.localeCompare(b.from) || a.to.localeCompare(b.to) || a.kind.localeCompare(b.kind));
  return graph;
}

function addSpan(t: Trace, i: SpanIndex, nodes: Map<string, NodeTally>, edges: Map<string, EdgeTally>): void {
  const service = serviceOf(t, i);
  const parent = t.parents[i]!;
  const caller = parent < 0 ? undefined : serviceOf(t, parent);
  const node = upsert(nodes, service, () => newNode(service, true));
  node.instrumented = true;
  if (caller !== service) addCall(node, t, i);
  if (caller !== undefined && caller !== service) addCall(edge(edges, caller, service), t, i);
  const peer = silentPeer(t, i);
  if (peer === undefined || peer === service) return;
  addCall(upsert(nodes, peer, () => newNode(peer, false)), t, i);
  addCall(edge(edges, service, peer), t, i);
}

function newNode(name: string, instrumented: boolean): NodeTally {
  return { name, calls: 0, errors: 0, totalDuration: 0, instrumented };
}

function edge(edges: Map<string, EdgeTally>, from: string, to: string): EdgeTally {
  return upsert(edges, `${from}\0${to}`, () => ({ from, to, calls: 0, errors: 0, totalDuration: 0 }));
}

function upsert<T>(map: Map<string, T>, key: string, make: () => T): T {
  const found = map.get(key);
  if (found) return found;
  const made = make();
  map.set(key, made);
  return made;
}

function addCall(to: Tally, t: Trace, i: SpanIndex): void {
  to.calls++;
  to.errors += t.errors[i]!;
  to.totalDuration += t.durations[i]!;
}

/** Attributes by which a caller names its callee, the most specific first. */
export const peerAttributes = ["peer.service", "db.namespace", "db.name", "db.system", "messaging.system", "server.address", "http.host", "net.peer.name"];

export function silentPeer(t: Trace, i: SpanIndex): string | undefined {
  const kind = kindOf(t, i);
  if (t.childCounts[i] !== 0 || (kind !== "client" && kind !== "producer")) return undefined;
  const span = spanAt(t, i);
  for (const key of peerAttributes) {
    const found = span.attributes.find((a) => a.key === key);
    if (found) return formatValue(found.value);
  }
  return undefined;
}
