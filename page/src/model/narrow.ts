// The part of a service graph that a reader wants to see.

import type { GraphEdge, GraphNode, ServiceGraph } from "./graph";

export interface Narrow {
  /** Whether services without any call are shown. */
  idle: boolean;
  /** Whether the databases and silent services that one service alone calls become one node. */
  folded: boolean;
  /** The service whose neighbourhood is shown; "" for all. */
  focus: string;
  hops: number;
}

export function narrowGraph(graph: ServiceGraph, how: Narrow): ServiceGraph {
  let made = graph;
  if (!how.idle) made = withoutIdle(made);
  if (how.folded) made = folded(made);
  return how.focus === "" ? made : around(made, how.focus, how.hops);
}

/** A service is idle where nothing was counted on it and on all its calls. A graph of idle services alone is left as it is. */
function withoutIdle(graph: ServiceGraph): ServiceGraph {
  const busy = new Set<string>();
  for (const n of graph.nodes) if ((n.amount ?? 0) > 0) busy.add(n.name);
  for (const e of graph.edges) if ((e.amount ?? 0) > 0) busy.add(e.from).add(e.to);
  return busy.size === 0 ? graph : only(graph, busy);
}

function only(graph: ServiceGraph, names: ReadonlySet<string>): ServiceGraph {
  return { ...graph, nodes: graph.nodes.filter((n) => names.has(n.name)), edges: graph.edges.filter((e) => names.has(e.from) && names.has(e.to)) };
}

/** Leaves that send no spans and have one caller, gathered by caller where there are at least two. */
function folded(graph: ServiceGraph): ServiceGraph {
  const callers = new Map<string, GraphEdge[]>();
  for (const e of graph.edges) callers.set(e.to, [...(callers.get(e.to) ?? []), e]);
  const calls = new Set(graph.edges.map((e) => e.from));
  const leaves = graph.nodes.filter((n) => n.kind !== "service" && !calls.has(n.name) && new Set(callers.get(n.name)?.map((e) => e.from)).size === 1);
  const byCaller = new Map<string, GraphNode[]>();
  for (const n of leaves) {
    const caller = callers.get(n.name)![0]!.from;
    byCaller.set(caller, [...(byCaller.get(caller) ?? []), n]);
  }
  let made = graph;
  for (const [caller, list] of byCaller) if (list.length > 1) made = gather(made, caller, list, list.flatMap((n) => callers.get(n.name)!));
  return made;
}

function gather(graph: ServiceGraph, caller: string, leaves: GraphNode[], edges: GraphEdge[]): ServiceGraph {
  const gone = new Set(leaves.map((n) => n.name));
  const name = `${leaves.length} databases of ${caller}`;
  const amount = edges.reduce((sum, e) => sum + (e.amount ?? 0), 0);
  const counted = edges.filter((e) => e.count !== undefined);
  const traffic = {
    amount,
    count: counted.length > 0 ? counted.reduce((sum, e) => sum + e.count!, 0) : undefined,
    errorShare: amount === 0 ? 0 : edges.reduce((sum, e) => sum + e.errorShare * (e.amount ?? 0), 0) / amount,
    duration: edges.reduce<number | undefined>((most, e) => (e.duration === undefined ? most : Math.max(most ?? 0, e.duration)), undefined),
  };
  return {
    ...graph,
    nodes: [...graph.nodes.filter((n) => !gone.has(n.name)), { name, kind: "database", ...traffic }],
    edges: [...graph.edges.filter((e) => !gone.has(e.to)), { from: caller, to: name, kind: "database", ...traffic }],
  };
}

/** The nodes within so many calls, in either direction. */
function around(graph: ServiceGraph, focus: string, hops: number): ServiceGraph {
  const near = new Set([focus]);
  for (let hop = 0; hop < hops; hop++) {
    for (const { from, to } of graph.edges.filter((e) => near.has(e.from) !== near.has(e.to))) near.add(from).add(to);
  }
  return only(graph, near);
}
