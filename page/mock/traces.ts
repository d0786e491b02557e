// Traces for `npm run dev`, in the backend's JSON: base64 ids, 64-bit numbers as text.

export interface MockSpan {
  spanId: string;
  parentId?: string;
  name: string;
  kind: number;
  /** Milliseconds from the start of the trace. */
  start: number;
  duration: number;
  service: string;
  attributes?: Record<string, string | number | boolean | string[]>;
  events?: { at: number; name: string; attributes?: Record<string, string | boolean> }[];
  error?: string;
}

export interface MockTrace {
  id: string;
  /** Milliseconds since 1970. */
  start: number;
  spans: MockSpan[];
}

const kindNames = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];

/** A small generator with a seed, so that every start of the mock shows the same traces. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function hex(next: () => number, digits: number): string {
  return Array.from({ length: digits }, () => Math.floor(next() * 16).toString(16)).join("");
}

function edgeSpans(id: string, host: string, status: number, total: number): MockSpan[] {
  const router = host.split(".")[0]!;
  const http = { "http.method": "GET", "http.url": "/", "http.host": host, "http.status_code": status };
  const failed = status >= 500 ? { error: "", attributes: { ...http, error: true } } : { attributes: http };
  return [
    { spanId: id, name: `EntryPoint web ${host}`, kind: 2, start: 0, duration: total, service: "edge", ...failed, attributes: { component: "edge", ...failed.attributes } },
    { spanId: `f${id.slice(1)}`, parentId: id, name: `forward ${router}@file/${router}@file`, kind: 3, start: 0.08, duration: total - 0.15, service: "edge", ...failed },
  ];
}

export function uninstrumented(start: number, seed: number, host = "uservice1.localhost"): MockTrace {
  const next = random(seed);
  const id = hex(next, 16);
  return { id: id.padStart(32, "0"), start, spans: edgeSpans(id, host, 200, 1100 + next() * 1100) };
}

export function deadUpstream(start: number, seed: number): MockTrace {
  const id = hex(random(seed), 16);
  const spans = edgeSpans(id, "uservice2.localhost", 502, 3.4);
  spans[1]!.events = [{ at: 3.1, name: "exception", attributes: { "exception.message": "dial tcp 127.0.0.1:8082: connect: connection refused" } }];
  return { id: id.padStart(32, "0"), start, spans };
}

export function instrumented(start: number, seed: number, redis = 0, database = 0): MockTrace {
  const next = random(seed);
  const id = hex(next, 16);
  const r = redis || 100 + next() * 99;
  const d = database || 1000 + next() * 999;
  const ids = Array.from({ length: 5 }, () => hex(next, 16));
  const [handle3, call, other, handle4, query] = ids as [string, string, string, string, string];
  const spans: MockSpan[] = [
    ...edgeSpans(id, "uservice3.localhost", 200, r + d + 4.2),
    { spanId: handle3, parentId: `f${id.slice(1)}`, name: "handle_incoming_call", kind: 2, start: 0.6, duration: r + d + 3.2, service: "uservice3", error: "no error", events: [{ at: 0.7, name: "Request decoded!", attributes: { happened: true } }] },
    { spanId: call, parentId: handle3, name: "redis_call", kind: 1, start: 0.8, duration: r + d + 2.8, service: "uservice3", attributes: { "test-attribute-1": "test-values-1" } },
    { spanId: other, parentId: call, name: "other_uservice_call", kind: 3, start: r + 1, duration: d + 2.4, service: "uservice3", events: [{ at: r + d + 3.2, name: "Got response!", attributes: { status: "200 OK", traceresponse: "" } }] },
    { spanId: handle4, parentId: other, name: "handle_incoming_call", kind: 2, start: r + 1.8, duration: d + 0.7, service: "uservice4" },
    { spanId: query, parentId: handle4, name: "database_call", kind: 1, start: r + 2, duration: d + 0.3, service: "uservice4" },
  ];
  return { id: id.padStart(32, "0"), start, spans };
}

const shopServices = ["shop-web", "cart", "catalogue", "payment", "stock", "mail", "search-index", "recommendations", "user-profile"];

/** A trace of many spans, with skewed clocks, orphans and errors, as large systems make them. */
export function large(start: number, seed: number, count: number): MockTrace {
  const next = random(seed);
  const spans: MockSpan[] = [{ spanId: hex(next, 16), name: "POST /checkout", kind: 2, start: 0, duration: 4200, service: shopServices[0]! }];
  for (let i = 1; i < count; i++) {
    const parent = spans[Math.floor(Math.max(0, i - 1 - next() * 40))]!;
    const at = parent.start + parent.duration * next() * 0.6;
    spans.push({
      spanId: hex(next, 16),
      parentId: next() < 0.002 ? hex(next, 16) : parent.spanId,
      name: ["SELECT items", "GET /stock/{id}", "reserve", "render", "publish order.created"][i % 5]!,
      kind: [3, 2, 1, 1, 4][i % 5]!,
      start: at + (next() < 0.01 ? -30 : 0),
      duration: next() < 0.01 ? 0 : Math.max(0.02, parent.duration * (0.1 + next() * 0.5)),
      service: next() < 0.3 ? shopServices[Math.floor(next() * shopServices.length)]! : parent.service,
      attributes: { "item.id": i, "db.statement": "select * from items where id = $1", cached: i % 3 === 0, ratio: 0.25 },
      ...(next() < 0.01 ? { error: "deadline exceeded" } : {}),
    });
  }
  return { id: hex(next, 32), start, spans };
}

export function mockTraces(now: number): MockTrace[] {
  const traces: MockTrace[] = [];
  for (let i = 0; i < 14; i++) {
    const at = now - 8_000 - i * 97_000;
    traces.push(i % 3 === 1 ? uninstrumented(at, i + 1) : instrumented(at, i + 1));
  }
  traces.push(deadUpstream(now - 240_000, 77), large(now - 500_000, 99, 2000), large(now - 900_000, 98, 10_000));
  return traces.sort((a, b) => b.start - a.start);
}

function base64(id: string): string {
  return Buffer.from(id, "hex").toString("base64");
}

function nanos(ms: number): string {
  return String(BigInt(Math.trunc(ms)) * 1_000_000n + BigInt(Math.round((ms % 1) * 1e6)));
}

function value(v: string | number | boolean | string[]): object {
  if (Array.isArray(v)) return { arrayValue: { values: v.map(value) } };
  if (typeof v === "boolean") return { boolValue: v };
  if (typeof v === "number") return Number.isInteger(v) ? { intValue: String(v) } : { doubleValue: v };
  return { stringValue: v };
}

function attributes(map: MockSpan["attributes"] = {}): object[] {
  return Object.entries(map).map(([key, v]) => ({ key, value: value(v) }));
}

/** The answer to GET /api/v2/traces/{id}. */
export function traceJson(trace: MockTrace): object {
  const services = [...new Set(trace.spans.map((s) => s.service))];
  const resourceSpans = services.map((service) => ({
    resource: { attributes: attributes({ ...resourceOf(service), "service.name": service }) },
    scopeSpans: [{ scope: { name: service }, spans: trace.spans.filter((s) => s.service === service).map((s) => spanJson(trace, s)) }],
  }));
  return { trace: { resourceSpans }, metrics: { inspectedBytes: "4242" } };
}

function resourceOf(service: string): Record<string, string | number | string[]> {
  if (service === "edge") return { "host.name": "laptop" };
  return { "os.type": "linux", "process.command_args": [`etude`, service], "process.pid": 4242 };
}

function spanJson(trace: MockTrace, s: MockSpan): object {
  return {
    traceId: base64(trace.id),
    spanId: base64(s.spanId),
    ...(s.parentId ? { parentSpanId: base64(s.parentId) } : {}),
    name: s.name,
    kind: `SPAN_KIND_${kindNames[s.kind]}`,
    startTimeUnixNano: nanos(trace.start + s.start),
    endTimeUnixNano: nanos(trace.start + s.start + s.duration),
    attributes: attributes(s.attributes),
    events: (s.events ?? []).map((e) => ({ timeUnixNano: nanos(trace.start + e.at), name: e.name, attributes: attributes(e.attributes) })),
    status: s.error === undefined ? {} : { code: "STATUS_CODE_ERROR", ...(s.error === "" ? {} : { message: s.error }) },
  };
}

/** One entry of what GET /api/search answers. */
export function searchJson(trace: MockTrace): object {
  const root = trace.spans[0]!;
  const serviceStats: Record<string, { spanCount: number; errorCount?: number }> = {};
  for (const s of trace.spans) {
    const stats = (serviceStats[s.service] ??= { spanCount: 0 });
    stats.spanCount++;
    if (s.error !== undefined) stats.errorCount = (stats.errorCount ?? 0) + 1;
  }
  return {
    traceID: trace.id.replace(/^0+/, ""),
    rootServiceName: root.service,
    rootTraceName: root.name,
    startTimeUnixNano: nanos(trace.start),
    durationMs: Math.round(root.duration),
    serviceStats,
  };
}
