// Traces in the JSON of other systems: Jaeger (its UI's download and its query API) and Zipkin v2. Both become the spans
// that OTLP would have carried, by OpenTelemetry's own mapping rules.

import { parseId } from "./ids";
import { kinds, type Kind, type Link, type Resource, type Scope, type SpanData } from "./trace";
import { type Attribute, Bytes, type Value } from "./value";

type Json = Record<string, unknown>;

/** Spans by trace id. */
export type Spans = Map<string, SpanData[]>;

function isObject(json: unknown): json is Json {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function objects(json: unknown): Json[] {
  return Array.isArray(json) ? json.filter(isObject) : [];
}

function text(json: unknown): string {
  return typeof json === "string" ? json : "";
}

/** Microseconds, whole or with a fraction, as nanoseconds. */
function micros(json: unknown, what: string): bigint {
  if (json === undefined || json === null) return 0n;
  const value = typeof json === "string" ? Number(json) : json;
  if (typeof value !== "number" || !Number.isFinite(value) || value < 0) throw new Error(`${what} is not a time in microseconds: ${JSON.stringify(json)}`);
  return BigInt(Math.trunc(value)) * 1000n + BigInt(Math.round((value % 1) * 1000));
}

function add(into: Spans, trace: string, span: SpanData): void {
  const spans = into.get(trace);
  if (spans) spans.push(span);
  else into.set(trace, [span]);
}

const noScope: Scope = { name: "", version: "", attributes: [] };

// Jaeger: {"data": [{"traceID", "spans": [...], "processes": {"p1": {...}}}]}

export function isJaeger(json: unknown): boolean {
  return jaegerTraces(json).some((t) => Array.isArray(t["spans"]) && isObject(t["processes"]));
}

function jaegerTraces(json: unknown): Json[] {
  if (isObject(json) && Array.isArray(json["data"])) return objects(json["data"]);
  return Array.isArray(json) ? objects(json) : isObject(json) ? [json] : [];
}

export function readJaeger(json: unknown): Spans {
  const made: Spans = new Map();
  for (const trace of jaegerTraces(json)) {
    const processes = new Map(Object.entries(isObject(trace["processes"]) ? trace["processes"] : {}).map(([key, p]) => [key, jaegerResource(isObject(p) ? p : {})]));
    const scopes = new Map<string, Scope>();
    for (const span of objects(trace["spans"])) {
      const resource = processes.get(text(span["processID"])) ?? jaegerResource(isObject(span["process"]) ? span["process"] : {});
      add(made, parseId(span["traceID"], 16), named(text(span["operationName"]), () => jaegerSpan(span, resource, scopes)));
    }
  }
  return made;
}

function named<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (err) {
    throw new Error(`span ${JSON.stringify(name)}: ${(err as Error).message}`);
  }
}

function jaegerResource(process: Json): Resource {
  const service = text(process["serviceName"]) || "(no service name)";
  const attributes = jaegerTags(process["tags"]).filter((a) => a.key !== "service.name");
  return { service, attributes: [{ key: "service.name", value: service }, ...attributes] };
}

function jaegerTags(json: unknown): Attribute[] {
  return objects(json).map((tag) => ({ key: text(tag["key"]), value: jaegerValue(tag) }));
}

function jaegerValue(tag: Json): Value {
  const { type, value } = tag as { type?: unknown; value?: unknown };
  if (type === "bool" || typeof value === "boolean") return value === true || value === "true";
  if (type === "int64" && (typeof value === "number" || (typeof value === "string" && /^-?\d+$/.test(value)))) return BigInt(typeof value === "number" ? Math.trunc(value) : value);
  if (typeof value === "number" || (type === "float64" && typeof value === "string")) return Number(value);
  if (type === "binary") return new Bytes(text(value));
  return typeof value === "string" ? value : JSON.stringify(value ?? null);
}

/** Tags that mean fields of a span. */
const fieldTags = new Set(["span.kind", "otel.status_code", "otel.status_description", "otel.scope.name", "otel.scope.version", "otel.library.name", "otel.library.version", "w3c.tracestate"]);

function jaegerSpan(json: Json, resource: Resource, scopes: Map<string, Scope>): SpanData {
  const tags = jaegerTags(json["tags"]);
  const tag = (...keys: string[]): string => {
    const value = tags.find((a) => keys.includes(a.key))?.value;
    return typeof value === "string" ? value : "";
  };
  const start = micros(json["startTime"], "startTime");
  const refs = objects(json["references"]);
  const parent = refs.find((r) => r["refType"] === "CHILD_OF" && r["traceID"] === json["traceID"]) ?? refs.find((r) => r["traceID"] === json["traceID"]);
  const failed = tags.some((a) => a.key === "error" && (a.value === true || a.value === "true"));
  const code = tag("otel.status_code").toLowerCase();
  return {
    spanId: parseId(json["spanID"], 8),
    parentId: parseId(parent?.["spanID"] ?? json["parentSpanID"], 8),
    name: text(json["operationName"]),
    kind: kindOf(tag("span.kind")),
    start,
    end: start + micros(json["duration"], "duration"),
    traceState: tag("w3c.tracestate"),
    statusCode: code === "error" || failed ? "error" : code === "ok" ? "ok" : "unset",
    statusMessage: tag("otel.status_description"),
    attributes: tags.filter((a) => !fieldTags.has(a.key)),
    events: objects(json["logs"]).map((log) => {
      const fields = jaegerTags(log["fields"]);
      const name = fields.find((f) => f.key === "event" || f.key === "message");
      return { time: micros(log["timestamp"], "timestamp"), name: typeof name?.value === "string" ? name.value : "log", attributes: fields.filter((f) => f !== name) };
    }),
    links: refs.filter((r) => r !== parent).map((r): Link => ({ traceId: parseId(r["traceID"], 16), spanId: parseId(r["spanID"], 8), attributes: [] })),
    resource,
    scope: scopeOf(tag("otel.scope.name", "otel.library.name"), tag("otel.scope.version", "otel.library.version"), scopes),
  };
}

function kindOf(word: string): Kind {
  return kinds.find((k) => k === word.toLowerCase()) ?? "unspecified";
}

function scopeOf(name: string, version: string, known: Map<string, Scope>): Scope {
  if (name === "") return noScope;
  const key = `${name}\0${version}`;
  const found = known.get(key);
  if (found) return found;
  const made: Scope = { name, version, attributes: [] };
  known.set(key, made);
  return made;
}

// Zipkin v2: [{"traceId", "id", "parentId", "name", "timestamp", "duration", "localEndpoint", "tags", "annotations"}]

export function isZipkin(json: unknown): boolean {
  return zipkinSpans(json).some((s) => typeof s["traceId"] === "string" && typeof s["id"] === "string");
}

/** One trace, a list of spans, or a list of traces. */
function zipkinSpans(json: unknown): Json[] {
  return Array.isArray(json) ? json.flatMap((item: unknown) => (Array.isArray(item) ? objects(item) : objects([item]))) : [];
}

export function readZipkin(json: unknown): Spans {
  const made: Spans = new Map();
  const resources = new Map<string, Resource>();
  const resource = (service: string): Resource => {
    const known = resources.get(service);
    if (known) return known;
    const fresh = { service, attributes: [{ key: "service.name", value: service }] };
    resources.set(service, fresh);
    return fresh;
  };
  for (const span of zipkinSpans(json)) add(made, parseId(span["traceId"], 16), named(text(span["name"]), () => zipkinSpan(span, resource)));
  return made;
}

function zipkinSpan(json: Json, resource: (service: string) => Resource): SpanData {
  const tags = isObject(json["tags"]) ? json["tags"] : {};
  const start = micros(json["timestamp"], "timestamp");
  const local = isObject(json["localEndpoint"]) ? text(json["localEndpoint"]["serviceName"]) : "";
  const remote = isObject(json["remoteEndpoint"]) ? text(json["remoteEndpoint"]["serviceName"]) : "";
  const error = tags["error"];
  const attributes: Attribute[] = Object.entries(tags).map(([key, value]) => ({ key, value: typeof value === "string" ? value : JSON.stringify(value) }));
  if (remote !== "") attributes.push({ key: "peer.service", value: remote });
  return {
    spanId: parseId(json["id"], 8),
    parentId: parseId(json["parentId"], 8),
    name: text(json["name"]),
    kind: kindOf(text(json["kind"])),
    start,
    end: start + micros(json["duration"], "duration"),
    traceState: "",
    statusCode: error !== undefined && error !== "false" ? "error" : "unset",
    statusMessage: typeof error === "string" && error !== "true" && error !== "false" ? error : "",
    attributes,
    events: objects(json["annotations"]).map((a) => ({ time: micros(a["timestamp"], "timestamp"), name: text(a["value"]), attributes: [] })),
    links: [],
    resource: resource(local || "(no service name)"),
    scope: noScope,
  };
}
