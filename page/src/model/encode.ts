// Spans as OTLP's protobuf (ExportTraceServiceRequest and TracesData alike): the content of a shared file.

import type { Resource, Scope, SpanData } from "./trace";
import { kinds, statusCodes } from "./trace";
import type { Hex } from "./units";
import { type Attribute, Bytes, type Value } from "./value";
import { Writer } from "./wire";

export function encodeSpans(traceId: Hex, spans: SpanData[]): Uint8Array<ArrayBuffer> {
  const w = new Writer();
  for (const [resource, scopes] of byResource(spans)) {
    w.message(1, (rs) => {
      rs.message(1, (r) => attributes(r, 1, resource.attributes));
      for (const [scope, list] of scopes) rs.message(2, (ss) => scopeSpans(ss, traceId, scope, list));
    });
  }
  return w.finish();
}

/** Spans gathered as OTLP gathers them, resources and scopes in the order in which they first occur. */
export function byResource<S extends SpanData>(spans: S[]): Map<Resource, Map<Scope, S[]>> {
  const made = new Map<Resource, Map<Scope, S[]>>();
  for (const span of spans) {
    let scopes = made.get(span.resource);
    if (!scopes) made.set(span.resource, (scopes = new Map()));
    const list = scopes.get(span.scope);
    if (list) list.push(span);
    else scopes.set(span.scope, [span]);
  }
  return made;
}

function scopeSpans(w: Writer, traceId: Hex, scope: Scope, spans: SpanData[]): void {
  w.message(1, (s) => {
    s.text(1, scope.name);
    s.text(2, scope.version);
    attributes(s, 3, scope.attributes);
  });
  for (const span of spans) w.message(2, (s) => writeSpan(s, traceId, span));
}

function writeSpan(w: Writer, traceId: Hex, span: SpanData): void {
  w.blob(1, fromHex(traceId.padStart(32, "0")));
  if (span.spanId !== "") w.blob(2, fromHex(span.spanId));
  w.text(3, span.traceState);
  if (span.parentId !== "") w.blob(4, fromHex(span.parentId));
  w.text(5, span.name);
  if (span.kind !== "unspecified") w.uint(6, kinds.indexOf(span.kind));
  w.fixed64(7, span.start);
  w.fixed64(8, span.end);
  attributes(w, 9, span.attributes);
  for (const event of span.events) {
    w.message(11, (e) => {
      e.fixed64(1, event.time);
      e.text(2, event.name);
      attributes(e, 3, event.attributes);
    });
  }
  for (const link of span.links) {
    w.message(13, (l) => {
      l.blob(1, fromHex(link.traceId));
      l.blob(2, fromHex(link.spanId));
      attributes(l, 4, link.attributes);
    });
  }
  if (span.statusCode !== "unset" || span.statusMessage !== "") {
    w.message(15, (s) => {
      s.text(2, span.statusMessage);
      if (span.statusCode !== "unset") s.uint(3, statusCodes.indexOf(span.statusCode));
    });
  }
}

function attributes(w: Writer, field: number, list: Attribute[]): void {
  for (const a of list) w.message(field, (kv) => pair(kv, a.key, a.value));
}

function pair(w: Writer, key: string, value: Value): void {
  w.text(1, key);
  w.message(2, (v) => writeValue(v, value));
}

function writeValue(w: Writer, value: Value): void {
  if (value === null) return;
  if (typeof value === "string") w.blob(1, new TextEncoder().encode(value));
  else if (typeof value === "boolean") w.uint(2, value ? 1 : 0);
  else if (typeof value === "bigint") w.uint(3, value);
  else if (typeof value === "number") w.double(4, value);
  else if (value instanceof Bytes) w.blob(7, fromBase64(value.base64));
  else if (Array.isArray(value)) w.message(5, (list) => value.forEach((v) => list.message(1, (item) => writeValue(item, v))));
  else w.message(6, (map) => value.forEach((v, k) => map.message(1, (kv) => pair(kv, k, v))));
}

function fromHex(hex: Hex): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from({ length: binary.length }, (_, i) => binary.charCodeAt(i));
}
