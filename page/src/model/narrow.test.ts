import { expect, test } from "vitest";
import type { ServiceGraph } from "./graph";
import { narrowGraph } from "./narrow";

const traffic = { amount: 1, count: 10, errorShare: 0, duration: 0.1 };
const graph: ServiceGraph = {
  source: "metrics",
  nodes: [
    { name: "web", kind: "service", ...traffic }, { name: "cart", kind: "service", ...traffic }, { name: "old", kind: "service", ...traffic, amount: 0 },
    { name: "redis", kind: "database", ...traffic, amount: 3, errorShare: 1 }, { name: "mysql", kind: "database", ...traffic }, { name: "mail", kind: "virtual", ...traffic },
  ],
  edges: [
    { from: "web", to: "cart", kind: "call", ...traffic }, { from: "cart", to: "redis", kind: "database", ...traffic, amount: 3, errorShare: 1 }, { from: "cart", to: "mysql", kind: "database", ...traffic, duration: 2 },
    { from: "web", to: "mail", kind: "virtual", ...traffic },
  ],
};
const names = (g: ServiceGraph): string[] => g.nodes.map((n) => n.name);
const all = { idle: true, folded: false, focus: "", hops: 0 };

test("the graph is narrowed", () => {
  expect(narrowGraph(graph, all)).toBe(graph);
  expect(names(narrowGraph(graph, { ...all, idle: false }))).toEqual(["web", "cart", "redis", "mysql", "mail"]);
  expect(names(narrowGraph(graph, { ...all, focus: "web", hops: 1 }))).toEqual(["web", "cart", "mail"]);
  expect(names(narrowGraph(graph, { ...all, focus: "redis", hops: 2 }))).toEqual(["web", "cart", "redis", "mysql"]);
});

test("databases of one caller become one, with their traffic added up", () => {
  const made = narrowGraph(graph, { ...all, folded: true });
  expect(names(made)).toEqual(["web", "cart", "old", "mail", "2 databases of cart"]);
  expect(made.edges.at(-1)).toEqual({ from: "cart", to: "2 databases of cart", kind: "database", amount: 4, count: 20, errorShare: 0.75, duration: 2 });
});

test("idle services alone are shown all the same", () => {
  const idle = { ...graph, nodes: graph.nodes.map((n) => ({ ...n, amount: 0 })), edges: [] };
  expect(names(narrowGraph(idle, { ...all, idle: false }))).toEqual(names(graph));
});
