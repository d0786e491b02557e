import { expect, test } from "vitest";
import type { Sample } from "./prometheus";
import { edgeQuery, nodeQuery, serviceMap } from "./servicemap";

function sample(value: number, labels: Record<string, string>): Sample {
  return { labels, time: 0, value };
}

const edges: [string, string, string, number][] = [
  ["user", "edge", "virtual_node", 2],
  ["edge", "shop", "", 2],
  ["shop", "redis", "database", 4],
  ["shop", "mail", "messaging_system", 1],
  ["shop", "bank.example", "virtual_node", 0.5],
];

function example() {
  return serviceMap({
    edgeCount: [sample(7200.3, { client: "edge", server: "shop" })],
    count: [sample(7190, { service: "edge" })],
    edgeRate: [...edges.map(([client, server, connection_type, rate]) => sample(rate, { client, server, ...(connection_type ? { connection_type } : {}) })), sample(50, {})],
    // A series without names stands for the edges past the generator's bound: it is no edge.
    edgeFailed: [sample(0.5, { client: "edge", server: "shop" }), sample(9, { client: "no", server: "edge" })],
    edgeP95: [sample(0.2, { client: "edge", server: "shop" }), sample(NaN, { client: "shop", server: "mail", connection_type: "messaging_system" })],
    rate: [sample(2, { service: "edge" }), sample(3, { service: "shop" }), sample(1, { service: "batch" })],
    errors: [sample(0.25, { service: "shop" })],
    p95: [sample(0.3, { service: "shop" }), sample(NaN, { service: "edge" })],
  });
}

test("services, databases and what is only seen from outside", () => {
  const graph = example();
  expect(graph.nodes.map((n) => `${n.name} ${n.kind} ${n.amount} ${n.errorShare} ${n.duration}`)).toEqual([
    "bank.example virtual 0.5 0 undefined",
    "batch service 1 0 undefined",
    "edge service 2 0 undefined",
    "mail service 1 0 undefined",
    "redis database 4 0 undefined",
    "shop service 3 0.25 0.3",
    "user virtual 2 0 undefined",
  ]);
  expect(graph.edges.map((e) => `${e.from}>${e.to} ${e.kind} ${e.amount} ${e.errorShare} ${e.duration}`)).toEqual([
    "edge>shop call 2 0.25 0.2",
    "shop>bank.example virtual 0.5 0 undefined",
    "shop>mail message 1 0 undefined",
    "shop>redis database 4 0 undefined",
    "user>edge virtual 2 0 undefined",
  ]);
});

test("calls and messages between the same services are two edges, each with its figures", () => {
  const [call, message] = [{ client: "a", server: "b" }, { client: "a", server: "b", connection_type: "messaging_system" }];
  const both = serviceMap({
    edgeRate: [sample(1, call), sample(2, message)], edgeCount: [sample(60, call), sample(120, message)], edgeFailed: [sample(1, message)],
    edgeP95: [sample(0.1, call), sample(3, message)], count: [], rate: [], errors: [], p95: [],
  });
  expect(both.edges.map((e) => [e.kind, e.amount, e.count, e.errorShare, e.duration])).toEqual([["call", 1, 60, 0, 0.1], ["message", 2, 120, 0.5, 3]]);
  expect(both.nodes.find((n) => n.name === "b")).toMatchObject({ kind: "service", amount: 3, count: 180 });
  expect(both.edges.map((e) => edgeQuery(e))).toEqual([
    '{ resource.service.name="a" } > { resource.service.name="b" }',
    '{ resource.service.name="a" && kind=producer } > { resource.service.name="b" && kind=consumer }',
  ]);
});

test("what was counted stands beside the rates", () => {
  const graph = example();
  expect(graph.nodes.find((n) => n.name === "edge")!.count).toBe(7190);
  expect(graph.edges.find((e) => e.to === "shop")!.count).toBe(7200.3);
  expect(graph.edges.find((e) => e.to === "redis")!.count).toBeUndefined();
});

test("the queries of the traces behind them", () => {
  const graph = example();
  const edge = (from: string, to: string) => graph.edges.find((e) => e.from === from && e.to === to)!;
  const node = (name: string) => graph.nodes.find((n) => n.name === name)!;
  expect(edgeQuery(edge("edge", "shop"))).toBe('{ resource.service.name="edge" } > { resource.service.name="shop" }');
  expect(edgeQuery(edge("edge", "shop"), true)).toContain('({ resource.service.name="edge" && status=error } > { resource.service.name="shop" })');
  expect(edgeQuery(edge("user", "edge"))).toBe('{ resource.service.name="edge" && kind=server && nestedSetParent<0 }');
  expect(edgeQuery(edge("shop", "redis"))).toMatch(/^\{ resource\.service\.name="shop" && \(span\.peer\.service="redis" \|\| .*span\.db\.system="redis".*\) \}$/);
  expect(nodeQuery(node("shop"), graph)).toBe('{ resource.service.name="shop" }');
  expect(nodeQuery(node("user"), graph)).toBe(edgeQuery(edge("user", "edge")));
  expect(nodeQuery(node("bank.example"), graph)).toContain('span.peer.service="bank.example"');
});
