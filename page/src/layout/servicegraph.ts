// Where the nodes and edges of the service graph stand: left to right, by dagre.

import { Graph, layout } from "@dagrejs/dagre";
import type { GraphEdge, GraphNode, ServiceGraph } from "../model/graph";
import type { CssPixels } from "../model/units";

export interface PlacedNode extends GraphNode {
  /** The middle of the node. */
  x: CssPixels;
  y: CssPixels;
  width: CssPixels;
  height: CssPixels;
}

export interface PlacedEdge extends GraphEdge {
  path: string;
  labelX: CssPixels;
  labelY: CssPixels;
}

export interface PlacedGraph {
  /** Whether there are so many edges that their figures have no room. */
  dense: boolean;
  width: CssPixels;
  height: CssPixels;
  nodes: PlacedNode[];
  edges: PlacedEdge[];
}

/** From so many edges on, room for the figures of each would make the graph several screens high. */
const manyEdges = 60;

interface Room {
  node: CssPixels;
  between: { nodesep: CssPixels; edgesep: CssPixels; ranksep: CssPixels };
  label: { width: CssPixels; height: CssPixels };
}

const roomy = (vertical: boolean): Room => ({ node: 64, between: { nodesep: 36, edgesep: 20, ranksep: vertical ? 64 : 110 }, label: { width: 84, height: 34 } });
const tight: Room = { node: 46, between: { nodesep: 12, edgesep: 3, ranksep: 150 }, label: { width: 0, height: 0 } };

/** vertical lays the graph top to bottom, for narrow screens. */
export function placeGraph(graph: Pick<ServiceGraph, "nodes" | "edges">, vertical: boolean): PlacedGraph {
  const dense = graph.edges.length > manyEdges;
  const room = dense ? tight : roomy(vertical);
  const g = new Graph({ multigraph: true });
  g.setGraph({ rankdir: vertical ? "TB" : "LR", ...room.between, marginx: 16, marginy: 16 });
  for (const node of graph.nodes) g.setNode(node.name, { width: Math.min(240, Math.max(184, 36 + node.name.length * 8)), height: room.node });
  for (const edge of graph.edges) g.setEdge(edge.from, edge.to, { ...room.label, width: labelWidth(edge, room, vertical), labelpos: "c" }, edge.kind);
  layout(g);
  return {
    dense,
    width: g.graph().width ?? 0,
    height: g.graph().height ?? 0,
    nodes: graph.nodes.map((node) => ({ ...node, ...pick(g.node(node.name)) })),
    edges: graph.edges.map((edge) => placeEdge(edge, g.edge(edge.from, edge.to, edge.kind))),
  };
}

/** In a vertical graph figures are beside their edge, and an error share lengthens the second line of them. */
function labelWidth(edge: GraphEdge, room: Room, vertical: boolean): CssPixels {
  return room.label.width > 0 && vertical && edge.errorShare > 0 ? 150 : room.label.width;
}

interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

function pick(box: Partial<Box>): Box {
  return { x: box.x ?? 0, y: box.y ?? 0, width: box.width ?? 0, height: box.height ?? 0 };
}

function placeEdge(edge: GraphEdge, label: { points?: { x: number; y: number }[]; x?: number; y?: number }): PlacedEdge {
  const points = label.points ?? [];
  const middle = points[Math.floor(points.length / 2)];
  return { ...edge, path: curve(points), labelX: label.x ?? middle?.x ?? 0, labelY: label.y ?? middle?.y ?? 0 };
}

/** A smooth path through dagre's points: quadratic pieces that meet in the middles. */
function curve(points: { x: number; y: number }[]): string {
  const at = (p: { x: number; y: number }): string => `${p.x.toFixed(1)} ${p.y.toFixed(1)}`;
  if (points.length < 3) return points.map((p, i) => `${i === 0 ? "M" : "L"}${at(p)}`).join("");
  let path = `M${at(points[0]!)}`;
  for (let i = 1; i < points.length - 1; i++) {
    const [p, next] = [points[i]!, points[i + 1]!];
    const end = i === points.length - 2 ? next : { x: (p.x + next.x) / 2, y: (p.y + next.y) / 2 };
    path += `Q${at(p)} ${at(end)}`;
  }
  return path;
}
