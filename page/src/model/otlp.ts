// Reads traces out of JSON: the backend's answers and files that people save.
//
// Accepted: {"trace": ...}, {"resourceSpans": [...]}, {"batches": [...]}, arrays of these, and one such object a line
// (what the OpenTelemetry Collector's file exporter writes); and what foreign.ts reads: Jaeger's and Zipkin's JSON. Ids may be hex or base64, 64-bit numbers strings or
// numbers, enums names or numbers.

import { isJaeger, isZipkin, readJaeger, readZipkin, type Spans } from "./foreign";
import { parseId } from "./ids";
import { buildTrace } from "./spans";
import { kinds, type Link, type Resource, type Scope, type SpanData, type SpanEvent, statusCodes, type Trace } from "./trace";
import type { UnixNanoseconds } from "./units";
import { type Attribute, Bytes, type Value } from "./value";

type Json = Record<string, unknown>;

/** Parses the text of a file: JSON, or one JSON object a line. Throws an Error that says what is wrong. */
export function parseText(text: string): Trace[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (whole) {
    const lines = text.split("\n").filter((line) => line.trim() !== "");
    if (lines.length < 2 || !isJson(lines[0]!)) throw new Error(`this is not JSON: ${(whole as Error).message}`);
    json = lines.map((line, i) => parseLine(line, i + 1));
  }
  return parseTraces(json);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function parseLine(line: string, number: number): unknown {
  try {
    return JSON.parse(line);
  } catch (err) {
    throw new Error(`line ${number} is not JSON: ${(err as Error).message}`);
  }
}

/** Parses one JSON document into its traces, the one with most spans first. Throws when it holds no spans' shape at all. */
export function parseTraces(json: unknown): Trace[] {
  if (isJaeger(json)) return tracesOf(readJaeger(json));
  if (isZipkin(json)) return tracesOf(readZipkin(json));
  const byTrace: Spans = new Map();
  let batches = 0;
  for (const resourceSpans of findBatches(json)) {
    batches++;
    readResourceSpans(resourceSpans, byTrace);
  }
  if (batches === 0 && !isEmptyAnswer(json)) {
    throw new Error('this JSON holds no trace: expected "resourceSpans", "batches" or "trace" at the top, or the JSON of Jaeger or Zipkin');
  }
  return tracesOf(byTrace);
}

function tracesOf(byTrace: Spans): Trace[] {
  return [...byTrace].map(([id, spans]) => buildTrace(id, spans)).sort((a, b) => b.length - a.length);
}

/** The backend's answer for a trace that it does not have: {"trace":{}}. */
function isEmptyAnswer(json: unknown): boolean {
  return isObject(json) && ("trace" in json || "resourceSpans" in json || "batches" in json);
}

function* findBatches(json: unknown): Generator<Json> {
  if (Array.isArray(json)) {
    for (const item of json) yield* findBatches(item);
  } else if (isObject(json)) {
    yield* objects(json["resourceSpans"] ?? json["batches"]);
    if (isObject(json["trace"])) yield* findBatches(json["trace"]);
  }
}

function readResourceSpans(json: Json, byTrace: Map<string, SpanData[]>): void {
  const attributes = readAttributes(object(json["resource"])["attributes"]);
  const name = attributes.find((a) => a.key === "service.name")?.value;
  const resource: Resource = { service: typeof name === "string" && name !== "" ? name : "(no service name)", attributes };
  for (const scopeSpans of objects(json["scopeSpans"] ?? json["instrumentationLibrarySpans"])) {
    const scope = readScope(object(scopeSpans["scope"] ?? scopeSpans["instrumentationLibrary"]));
    for (const spanJson of objects(scopeSpans["spans"])) {
      const [traceId, span] = readSpan(spanJson, resource, scope);
      const spans = byTrace.get(traceId);
      if (spans) spans.push(span);
      else byTrace.set(traceId, [span]);
    }
  }
}

function readScope(json: Json): Scope {
  return { name: text(json["name"]), version: text(json["version"]), attributes: readAttributes(json["attributes"]) };
}

function readSpan(json: Json, resource: Resource, scope: Scope): [string, SpanData] {
  const name = text(json["name"]);
  try {
    const status = object(json["status"]);
    const start = readTime(json["startTimeUnixNano"]);
    const span: SpanData = {
      spanId: parseId(json["spanId"], 8),
      parentId: parseId(json["parentSpanId"], 8),
      name,
      kind: readEnum(json["kind"], "SPAN_KIND_", kinds),
      start,
      end: readTime(json["endTimeUnixNano"]),
      traceState: text(json["traceState"]),
      statusCode: readEnum(status["code"], "STATUS_CODE_", statusCodes),
      statusMessage: text(status["message"]),
      attributes: readAttributes(json["attributes"]),
      events: objects(json["events"]).map(readEvent),
      links: objects(json["links"]).map(readLink),
      resource,
      scope,
    };
    return [parseId(json["traceId"], 16), span];
  } catch (err) {
    throw new Error(`span ${JSON.stringify(name)}: ${(err as Error).message}`);
  }
}

function readEvent(json: Json): SpanEvent {
  return { time: readTime(json["timeUnixNano"]), name: text(json["name"]), attributes: readAttributes(json["attributes"]) };
}

function readLink(json: Json): Link {
  return { traceId: parseId(json["traceId"], 16), spanId: parseId(json["spanId"], 8), attributes: readAttributes(json["attributes"]) };
}

function readEnum<T extends string>(json: unknown, prefix: string, words: T[]): T {
  if (typeof json === "number") return words[json] ?? words[0]!;
  const word = text(json).replace(prefix, "").toLowerCase();
  return words.find((w) => w === word) ?? words[0]!;
}

/** Reads uint64 nanoseconds. A JSON number past 2^53 has lost digits before we see it; nothing can be done then. */
function readTime(json: unknown): UnixNanoseconds {
  if (json === undefined || json === null || json === "") return 0n;
  if (typeof json === "number" && Number.isFinite(json)) return BigInt(Math.trunc(json));
  if (typeof json === "string" && /^\d{1,20}$/.test(json)) return BigInt(json);
  throw new Error(`${JSON.stringify(json)} is not a time in nanoseconds`);
}

export function readAttributes(json: unknown): Attribute[] {
  return objects(json).map((kv) => ({ key: text(kv["key"]), value: readValue(kv["value"]) }));
}

function readValue(json: unknown): Value {
  if (!isObject(json)) return null;
  if (typeof json["stringValue"] === "string") return json["stringValue"];
  if (json["intValue"] !== undefined) return readInt(json["intValue"]);
  if (json["doubleValue"] !== undefined) return Number(json["doubleValue"]);
  if (json["boolValue"] !== undefined) return json["boolValue"] === true;
  if (isObject(json["arrayValue"])) return list(json["arrayValue"]["values"]).map(readValue);
  if (isObject(json["kvlistValue"])) return new Map(readAttributes(json["kvlistValue"]["values"]).map((a) => [a.key, a.value]));
  if (typeof json["bytesValue"] === "string") return new Bytes(json["bytesValue"]);
  return null;
}

function readInt(json: unknown): bigint {
  if (typeof json === "number" && Number.isFinite(json)) return BigInt(Math.trunc(json));
  if (typeof json === "string" && /^-?\d{1,20}$/.test(json)) return BigInt(json);
  throw new Error(`${JSON.stringify(json)} is not an integer`);
}

function isObject(json: unknown): json is Json {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

function object(json: unknown): Json {
  return isObject(json) ? json : {};
}

function list(json: unknown): unknown[] {
  return Array.isArray(json) ? json : [];
}

function objects(json: unknown): Json[] {
  return list(json).filter(isObject);
}

function text(json: unknown): string {
  return typeof json === "string" ? json : "";
}
