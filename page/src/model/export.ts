// A trace as a file: OTLP JSON, which loses nothing that the page knows and reads back byte for byte, and Jaeger JSON,
// which Jaeger's UI opens.

import { byResource } from "./encode";
import { kinds, type SpanData, statusCodes, type Trace } from "./trace";
import type { Hex, UnixNanoseconds } from "./units";
import { type Attribute, Bytes, formatValue, type Value } from "./value";

export function spansOf(trace: Trace): SpanData[] {
  return Array.from({ length: trace.length }, (_, i) => trace.store.at(i));
}

/** One line a span, so that two files can be compared by their lines. */
export function toOtlpJson(trace: Trace): string {
  const resources = [...byResource(spansOf(trace))].map(([resource, scopes]) => {
    const scopeSpans = [...scopes].map(([scope, spans]) => {
      const named = { ...(scope.name && { name: scope.name }), ...(scope.version && { version: scope.version }), ...(scope.attributes.length > 0 && { attributes: scope.attributes.map(otlpAttribute) }) };
      return `{"scope":${JSON.stringify(named)},"spans":[\n${spans.map((s) => JSON.stringify(otlpSpan(trace.id, s))).join(",\n")}\n]}`;
    });
    return `{"resource":${JSON.stringify({ attributes: resource.attributes.map(otlpAttribute) })},"scopeSpans":[${scopeSpans.join(",")}]}`;
  });
  return `{"resourceSpans":[${resources.join(",\n")}]}\n`;
}

function otlpSpan(traceId: Hex, s: SpanData): object {
  return {
    traceId,
    ...(s.spanId && { spanId: s.spanId }),
    ...(s.parentId && { parentSpanId: s.parentId }),
    ...(s.traceState && { traceState: s.traceState }),
    name: s.name,
    kind: kinds.indexOf(s.kind),
    startTimeUnixNano: String(s.start),
    endTimeUnixNano: String(s.end),
    ...(s.attributes.length > 0 && { attributes: s.attributes.map(otlpAttribute) }),
    ...(s.events.length > 0 && { events: s.events.map((e) => ({ timeUnixNano: String(e.time), name: e.name, ...(e.attributes.length > 0 && { attributes: e.attributes.map(otlpAttribute) }) })) }),
    ...(s.links.length > 0 && { links: s.links.map((l) => ({ traceId: l.traceId, spanId: l.spanId, ...(l.attributes.length > 0 && { attributes: l.attributes.map(otlpAttribute) }) })) }),
    ...((s.statusCode !== "unset" || s.statusMessage) && { status: { ...(s.statusMessage && { message: s.statusMessage }), ...(s.statusCode !== "unset" && { code: statusCodes.indexOf(s.statusCode) }) } }),
  };
}

function otlpAttribute(a: Attribute): object {
  return { key: a.key, value: otlpValue(a.value) };
}

function otlpValue(value: Value): object {
  if (value === null) return {};
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "bigint") return { intValue: String(value) };
  if (typeof value === "number") return { doubleValue: Number.isFinite(value) ? value : String(value) };
  if (value instanceof Bytes) return { bytesValue: value.base64 };
  if (Array.isArray(value)) return { arrayValue: { values: value.map(otlpValue) } };
  return { kvlistValue: { values: [...value].map(([key, v]) => ({ key, value: otlpValue(v) })) } };
}

/** The form that Jaeger's query API answers in, and its UI reads. Its times are whole microseconds. */
export function toJaegerJson(trace: Trace): string {
  const spans = spansOf(trace);
  const resources = [...new Set(spans.map((s) => s.resource))];
  const processes = Object.fromEntries(resources.map((r, i) => [`p${i + 1}`, { serviceName: r.service, tags: r.attributes.filter((a) => a.key !== "service.name").map(jaegerTag) }]));
  const data = [{ traceID: trace.id, spans: spans.map((s) => jaegerSpan(trace.id, s, `p${resources.indexOf(s.resource) + 1}`)), processes, warnings: null }];
  return `${JSON.stringify({ data, total: 0, limit: 0, offset: 0, errors: null }, null, 1)}\n`;
}

function jaegerSpan(traceID: Hex, s: SpanData, processID: string): object {
  const reference = (refType: string, trace: Hex, spanID: Hex): object => ({ refType, traceID: trace, spanID });
  const extra: Attribute[] = [];
  if (s.kind !== "unspecified") extra.push({ key: "span.kind", value: s.kind });
  if (s.statusCode !== "unset") extra.push({ key: "otel.status_code", value: s.statusCode.toUpperCase() });
  if (s.statusMessage !== "") extra.push({ key: "otel.status_description", value: s.statusMessage });
  if (s.statusCode === "error" && !s.attributes.some((a) => a.key === "error")) extra.push({ key: "error", value: true });
  if (s.scope.name !== "") extra.push({ key: "otel.scope.name", value: s.scope.name });
  if (s.scope.version !== "") extra.push({ key: "otel.scope.version", value: s.scope.version });
  if (s.traceState !== "") extra.push({ key: "w3c.tracestate", value: s.traceState });
  return {
    traceID,
    spanID: s.spanId,
    operationName: s.name,
    references: [...(s.parentId ? [reference("CHILD_OF", traceID, s.parentId)] : []), ...s.links.map((l) => reference("FOLLOWS_FROM", l.traceId, l.spanId))],
    startTime: inMicros(s.start),
    duration: s.end > s.start ? inMicros(s.end) - inMicros(s.start) : 0,
    tags: [...s.attributes, ...extra].map(jaegerTag),
    logs: s.events.map((e) => ({ timestamp: inMicros(e.time), fields: [{ key: "event", type: "string", value: e.name }, ...e.attributes.map(jaegerTag)] })),
    processID,
    warnings: null,
  };
}

function inMicros(time: UnixNanoseconds): number {
  return Number(time / 1000n);
}

function jaegerTag({ key, value }: Attribute): object {
  if (typeof value === "boolean") return { key, type: "bool", value };
  if (typeof value === "bigint") return { key, type: "int64", value: Number.isSafeInteger(Number(value)) ? Number(value) : String(value) };
  if (typeof value === "number" && Number.isFinite(value)) return { key, type: "float64", value };
  if (value instanceof Bytes) return { key, type: "binary", value: value.base64 };
  return { key, type: "string", value: formatValue(value) };
}
