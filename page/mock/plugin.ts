// A stand-in for the backend while the page is developed: it understands just enough TraceQL to move the form.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Plugin } from "vite";
import { prometheus, traceqlMetrics } from "./metrics.ts";
import { type MockSpan, type MockTrace, mockTraces, searchJson, traceJson } from "./traces.ts";

/** Serves the views of the start page of Prometheus, which Go serves on a port of its own. */
export function prometheusViews(): Plugin {
  return {
    name: "prometheus-views",
    apply: "serve",
    configureServer(server) {
      server.middlewares.use((request, _, next) => {
        if (/^\/(query|graph|targets|status)(\?|$)/.test(request.url ?? "")) request.url = `/prometheus.html${request.url!.replace(/^[^?]*/, "")}`;
        next();
      });
    },
  };
}

export function mockBackend(): Plugin {
  const traces = mockTraces(Date.now());
  return {
    name: "mock-backend",
    apply: "serve",
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const url = new URL(request.url ?? "/", "http://localhost");
        const path = /^(?:\/prometheus)?\/api\/v1\/(.+)$/.exec(url.pathname)?.[1];
        if (path !== undefined) void answerPrometheus(path, url, traces, request, response);
        else if (!answer(traces, url, response)) next();
      });
    },
  };
}

/** Parameters come in the address or, by POST, in the body. */
async function answerPrometheus(path: string, url: URL, traces: MockTrace[], request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = "";
  for await (const chunk of request) body += String(chunk);
  const json = prometheus(path, request.method === "POST" ? new URLSearchParams(body) : url.searchParams, traces.map((t) => t.id));
  if (json) send(response, json);
  else refuse(response, `the mock does not answer /api/v1/${path}`);
}

function answer(traces: MockTrace[], url: URL, response: ServerResponse): boolean {
  const path = decodeURIComponent(url.pathname);
  const id = /^\/api\/v2\/traces\/(.+)$/.exec(path)?.[1];
  const tag = /^\/api\/v2\/search\/tag\/(.+)\/values$/.exec(path)?.[1];
  if (path === "/etude.json") send(response, info);
  else if (path === "/api/metrics/query_range" || path === "/api/metrics/query") send(response, traceqlMetrics(url.searchParams, path.endsWith("query"), traces.map((t) => t.id)));
  else if (path === "/api/search") search(traces, url, response);
  else if (path === "/api/v2/search/tags") send(response, tagNames);
  else if (tag !== undefined) send(response, { tagValues: tagValues(traces, tag).map((value) => ({ type: "string", value })), metrics: {} });
  else if (id !== undefined) sendTrace(traces, id, response);
  else return false;
  return true;
}

function send(response: ServerResponse, json: object): void {
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify(json));
}

function refuse(response: ServerResponse, message: string): void {
  response.statusCode = 400;
  response.setHeader("Content-Type", "text/plain; charset=utf-8");
  response.end(message);
}

function sendTrace(traces: MockTrace[], id: string, response: ServerResponse): void {
  if (!/^[0-9a-f]+$/i.test(id)) return refuse(response, "trace IDs can only contain hex characters: invalid character 'z' at position 1");
  const found = traces.find((t) => t.id === id.toLowerCase().padStart(32, "0"));
  send(response, found ? traceJson(found) : { trace: {}, metrics: {} });
}

function search(traces: MockTrace[], url: URL, response: ServerResponse): void {
  const q = url.searchParams.get("q") ?? "{}";
  if (!/^\s*\{[^]*\}\s*$/.test(q)) return refuse(response, "invalid TraceQL query: parse error at line 1, col 3: unknown identifier: foo");
  const start = Number(url.searchParams.get("start") ?? 0) * 1000;
  const limit = Number(url.searchParams.get("limit") ?? 20);
  const found = traces.filter((t) => t.start >= start && matches(t, q)).slice(0, limit);
  send(response, { traces: found.map(searchJson), metrics: { inspectedTraces: traces.length } });
}

function matches(trace: MockTrace, q: string): boolean {
  const conditions = q.trim().slice(1, -1).split("&&").map((c) => c.trim()).filter((c) => c !== "");
  return conditions.every((c) => trace.spans.some((s) => holds(trace, s, c)));
}

function holds(trace: MockTrace, s: MockSpan, condition: string): boolean {
  const [, left = "", operator = "", right = ""] = /^(\S+?)\s*(=~|>=|<=|=)\s*(.*)$/.exec(condition) ?? [];
  const text = right.startsWith('"') ? (JSON.parse(right) as string) : right;
  if (left === "resource.service.name") return s.service === text;
  if (left === "name") return operator === "=~" ? new RegExp(`^${text}$`).test(s.name) : s.name === text;
  if (left === "status") return s.error !== undefined;
  if (left === "trace:duration") return (operator === ">=") === trace.spans[0]!.duration >= Number.parseFloat(text) * (text.endsWith("ms") ? 1 : 1000);
  return s.service !== "edge";
}

function tagValues(traces: MockTrace[], tag: string): string[] {
  const of = tag === "name" ? (s: MockSpan) => s.name : tag.endsWith("service.name") ? (s: MockSpan) => s.service : () => "linux";
  return [...new Set(traces.slice(0, 15).flatMap((t) => t.spans.map(of)))];
}

const tagNames = {
  scopes: [
    { name: "resource", tags: ["host.name", "os.type", "process.command_args", "process.pid", "service.name"] },
    { name: "span", tags: ["component", "http.host", "http.method", "http.status_code", "http.url", "test-attribute-1"] },
    { name: "intrinsic", tags: ["duration", "name", "status"] },
  ],
  metrics: {},
};

const info = {
  version: "0.1.0",
  metrics: true,
  links: {
    edge: "http://localhost:8000",
    dashboard: "http://localhost:8080/dashboard/",
    prometheus: "http://localhost:9090/",
    api: "http://localhost:3200",
    otlpGrpc: "localhost:4317",
    otlpHttp: "http://localhost:4318",
    jaeger: "http://localhost:14268",
    services: [1, 2, 3, 4].map((n) => ({
      name: `uservice${n}`,
      direct: `http://localhost:808${n}/`,
      edge: `http://uservice${n}.localhost:8000/`,
      edgePath: `http://localhost:8000/uservice${n}/`,
    })),
  },
};
