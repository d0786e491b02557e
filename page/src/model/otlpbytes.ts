// A trace out of OTLP's protobuf. One pass over the bytes fills the columns; the rest of a span (attributes, events,
// links) is decoded when it is looked at, from the place that the pass noted.
//
// Accepted: a list of ResourceSpans in field 1, which is what TracesData, ExportTraceServiceRequest and Tempo's Trace are.

import { ByteTable } from "./bytetable";
import { kinds, type Link, type RawSpans, type Resource, type Scope, type SpanData, type SpanEvent, type SpanStore, statusCodes } from "./trace";
import type { Hex } from "./units";
import { type Attribute, Bytes, type Value } from "./value";
import { Reader } from "./wire";

/** Notes of the pass besides the columns: plain data, which a Worker can pass to the page. */
export interface Places {
  /** The place of span i in the bytes: spans[2*i] .. spans[2*i+1]. */
  spans: Int32Array;
  resourceIds: Int32Array;
  scopeIds: Int32Array;
  /** Where resources and scopes stand. A scope or resource without bytes has from = to. */
  resources: Int32Array;
  scopes: Int32Array;
}

export interface Indexed {
  /** The id of the first span. */
  traceId: Hex;
  raw: RawSpans;
  places: Places;
}

/** Reads all spans. Throws an Error on bytes that are no protobuf. Spans of other traces are read as well: the caller asked for one trace. */
export function indexSpans(bytes: Uint8Array): Indexed {
  const pass = new Pass(bytes);
  for (const r = new Reader(bytes); r.next(); ) if (r.field === 1) pass.resourceSpans(r.message());
  return pass.finish();
}

const serviceName = new TextEncoder().encode("service.name");
const errorKey = new TextEncoder().encode("error");

class Grow {
  data = new Int32Array(256);
  length = 0;
  push(...values: number[]): void {
    if (this.length + values.length > this.data.length) {
      const grown = new Int32Array(2 * this.data.length + values.length);
      grown.set(this.data);
      this.data = grown;
    }
    for (const v of values) this.data[this.length++] = v;
  }
  done(): Int32Array {
    return this.data.slice(0, this.length);
  }
}

class Pass {
  private readonly spans = new Grow();
  private readonly resourceIds = new Grow();
  private readonly scopeIds = new Grow();
  private readonly resources = new Grow();
  private readonly scopes = new Grow();
  private readonly resourceServices: string[] = [];

  constructor(private readonly bytes: Uint8Array) {}

  /** Fields come in any order, so the resource is read first wherever it stands. */
  resourceSpans(message: Reader): void {
    const scopes: Reader[] = [];
    let [from, to] = [0, 0];
    let service = "";
    while (message.next()) {
      if (message.field === 2) scopes.push(message.message());
      if (message.field !== 1) continue;
      [from, to] = [message.from, message.to];
      service = this.serviceOf(message.message());
    }
    const resource = this.resourceServices.push(service === "" ? noService : service) - 1;
    this.resources.push(from, to);
    for (const scope of scopes) this.scopeSpans(scope, resource);
  }

  private scopeSpans(message: Reader, resource: number): void {
    const scope = this.scopes.length / 2;
    let [from, to] = [0, 0];
    while (message.next()) {
      if (message.field === 1) [from, to] = [message.from, message.to];
      if (message.field !== 2) continue;
      this.spans.push(message.from, message.to);
      this.resourceIds.push(resource);
      this.scopeIds.push(scope);
    }
    this.scopes.push(from, to);
  }

  private serviceOf(resource: Reader): string {
    while (resource.next()) {
      if (resource.field !== 1) continue;
      const pair = resource.message();
      let isName = false;
      while (pair.next()) {
        if (pair.field === 1) isName = same(this.bytes, pair.from, pair.to, serviceName);
        if (pair.field === 2 && isName) {
          const value = pair.message();
          while (value.next()) if (value.field === 1) return value.text();
        }
      }
    }
    return "";
  }

  finish(): Indexed {
    const places: Places = { spans: this.spans.done(), resourceIds: this.resourceIds.done(), scopeIds: this.scopeIds.done(), resources: this.resources.done(), scopes: this.scopes.done() };
    return { ...this.columns(places.spans, places.resourceIds), places };
  }

  private columns(spans: Int32Array, resourceIds: Int32Array): { traceId: Hex; raw: RawSpans } {
    const n = spans.length / 2;
    const names = new ByteTable(this.bytes);
    const services = [...new Set(this.resourceServices)];
    const serviceIds = this.resourceServices.map((s) => services.indexOf(s));
    const words = { start: new Uint32Array(2 * n), end: new Uint32Array(2 * n) };
    const events: { span: number; hi: number; lo: number }[] = [];
    const raw: RawSpans = {
      length: n,
      base: 0n,
      starts: new Float64Array(n),
      ends: new Float64Array(n),
      ids: new Uint32Array(2 * n),
      parentIds: new Uint32Array(2 * n),
      names: [],
      nameIds: new Int32Array(n),
      services,
      serviceIds: Int32Array.from(resourceIds, (r) => serviceIds[r]!),
      kinds: new Uint8Array(n),
      statuses: new Uint8Array(n),
      errors: new Uint8Array(n),
      eventStarts: new Int32Array(n + 1),
      eventTimes: new Float64Array(0),
    };
    let traceId = "";
    for (let i = 0; i < n; i++) {
      const r = new Reader(this.bytes, spans[2 * i]!, spans[2 * i + 1]!);
      raw.nameIds[i] = -1;
      while (r.next()) {
        if (r.field === 1 && traceId === "") traceId = r.hex();
        else if (r.field === 2) readId(r, raw.ids, 2 * i);
        else if (r.field === 4) readId(r, raw.parentIds, 2 * i);
        else if (r.field === 5) raw.nameIds[i] = names.number(r.from, r.to);
        else if (r.field === 6) raw.kinds[i] = r.lo < kinds.length ? r.lo : 0;
        else if (r.field === 7) [words.start[2 * i], words.start[2 * i + 1]] = [r.hi, r.lo];
        else if (r.field === 8) [words.end[2 * i], words.end[2 * i + 1]] = [r.hi, r.lo];
        else if (r.field === 9 && saysError(r)) raw.errors[i] = 1;
        else if (r.field === 11) events.push({ span: i, ...eventTime(r.message()) });
        else if (r.field === 15) raw.statuses[i] = statusOf(r.message());
      }
      if (raw.statuses[i] === 2) raw.errors[i] = 1;
      if (raw.nameIds[i]! < 0) raw.nameIds[i] = names.number(0, 0);
    }
    const decoder = new TextDecoder();
    for (let i = 0; i < names.size; i++) raw.names.push(decoder.decode(this.bytes.subarray(names.from(i), names.to(i))));
    fillTimes(raw, words, events);
    return { traceId, raw };
  }
}

const noService = "(no service name)";

/** Times as offsets from the earliest start, exact as long as the trace is shorter than 104 days. */
function fillTimes(raw: RawSpans, words: { start: Uint32Array; end: Uint32Array }, events: { span: number; hi: number; lo: number }[]): void {
  let [baseHi, baseLo] = [0, 0];
  for (let i = 0; i < raw.length; i++) {
    const [hi, lo] = [words.start[2 * i]!, words.start[2 * i + 1]!];
    if (hi === 0 && lo === 0) continue;
    if ((baseHi === 0 && baseLo === 0) || hi < baseHi || (hi === baseHi && lo < baseLo)) [baseHi, baseLo] = [hi, lo];
  }
  const offset = (hi: number, lo: number): number => (hi - baseHi) * 2 ** 32 + (lo - baseLo);
  raw.base = (BigInt(baseHi) << 32n) | BigInt(baseLo);
  for (let i = 0; i < raw.length; i++) {
    const [hi, lo] = [words.start[2 * i]!, words.start[2 * i + 1]!];
    raw.starts[i] = hi === 0 && lo === 0 ? NaN : offset(hi, lo);
    raw.ends[i] = offset(words.end[2 * i]!, words.end[2 * i + 1]!);
  }
  raw.eventTimes = Float64Array.from(events, (e) => offset(e.hi, e.lo));
  for (const e of events) raw.eventStarts[e.span + 1]!++;
  for (let i = 0; i < raw.length; i++) raw.eventStarts[i + 1]! += raw.eventStarts[i]!;
}

function readId(r: Reader, into: Uint32Array, at: number): void {
  if (r.to - r.from !== 8) return;
  const view = new DataView(r.bytes.buffer, r.bytes.byteOffset + r.from, 8);
  into[at] = view.getUint32(0);
  into[at + 1] = view.getUint32(4);
}

function same(bytes: Uint8Array, from: number, to: number, text: Uint8Array): boolean {
  return to - from === text.length && text.every((b, i) => bytes[from + i] === b);
}

function saysError(r: Reader): boolean {
  // Nearly no attribute has this length, so nearly none is looked into.
  if (r.to - r.from < 11 || r.to - r.from > 17) return false;
  const pair = r.message();
  let isError = false;
  let says = false;
  while (pair.next()) {
    if (pair.field === 1) isError = same(r.bytes, pair.from, pair.to, errorKey);
    if (pair.field !== 2 || pair.type !== 2) continue;
    const value = pair.message();
    while (value.next()) says = (value.field === 2 && value.lo === 1) || (value.field === 1 && value.text() === "true");
  }
  return isError && says;
}

function eventTime(event: Reader): { hi: number; lo: number } {
  while (event.next()) if (event.field === 1) return { hi: event.hi, lo: event.lo };
  return { hi: 0, lo: 0 };
}

function statusOf(status: Reader): number {
  let code = 0;
  while (status.next()) if (status.field === 3) code = status.lo;
  return code < statusCodes.length ? code : 0;
}

/** The spans of indexed bytes. Equal attributes, resources and scopes are decoded once and shared. */
export class ByteStore implements SpanStore {
  private readonly table: ByteTable;
  private readonly attributes: Attribute[] = [];
  private readonly resources = new Map<number, Resource>();
  private readonly scopes = new Map<number, Scope>();

  constructor(
    readonly bytes: Uint8Array<ArrayBuffer>,
    readonly places: Places,
  ) {
    this.table = new ByteTable(bytes);
  }

  get length(): number {
    return this.places.resourceIds.length;
  }

  at(source: number): SpanData {
    const r = new Reader(this.bytes, this.places.spans[2 * source], this.places.spans[2 * source + 1]);
    const span: SpanData = {
      spanId: "", parentId: "", name: "", kind: "unspecified", start: 0n, end: 0n, traceState: "", statusCode: "unset", statusMessage: "",
      attributes: [], events: [], links: [],
      resource: this.resource(this.places.resourceIds[source]!),
      scope: this.scope(this.places.scopeIds[source]!),
    };
    while (r.next()) this.readField(r, span);
    return span;
  }

  private readField(r: Reader, span: SpanData): void {
    switch (r.field) {
      case 2: span.spanId = r.hex(); break;
      case 3: span.traceState = r.text(); break;
      case 4: span.parentId = r.hex(); break;
      case 5: span.name = r.text(); break;
      case 6: span.kind = kinds[r.lo] ?? "unspecified"; break;
      case 7: span.start = r.unsigned(); break;
      case 8: span.end = r.unsigned(); break;
      case 9: span.attributes.push(this.attribute(r)); break;
      case 11: span.events.push(this.event(r.message())); break;
      case 13: span.links.push(this.link(r.message())); break;
      case 15: {
        const status = r.message();
        while (status.next()) {
          if (status.field === 2) span.statusMessage = status.text();
          if (status.field === 3) span.statusCode = statusCodes[status.lo] ?? "unset";
        }
      }
    }
  }

  private event(r: Reader): SpanEvent {
    const event: SpanEvent = { time: 0n, name: "", attributes: [] };
    while (r.next()) {
      if (r.field === 1) event.time = r.unsigned();
      else if (r.field === 2) event.name = r.text();
      else if (r.field === 3) event.attributes.push(this.attribute(r));
    }
    return event;
  }

  private link(r: Reader): Link {
    const link: Link = { traceId: "", spanId: "", attributes: [] };
    while (r.next()) {
      if (r.field === 1) link.traceId = r.hex();
      else if (r.field === 2) link.spanId = r.hex();
      else if (r.field === 4) link.attributes.push(this.attribute(r));
    }
    return link;
  }

  resource(id: number): Resource {
    const known = this.resources.get(id);
    if (known) return known;
    const r = new Reader(this.bytes, this.places.resources[2 * id], this.places.resources[2 * id + 1]);
    const attributes: Attribute[] = [];
    while (r.next()) if (r.field === 1) attributes.push(this.attribute(r));
    const name = attributes.find((a) => a.key === "service.name")?.value;
    const made = { service: typeof name === "string" && name !== "" ? name : noService, attributes };
    this.resources.set(id, made);
    return made;
  }

  scope(id: number): Scope {
    const known = this.scopes.get(id);
    if (known) return known;
    const r = new Reader(this.bytes, this.places.scopes[2 * id], this.places.scopes[2 * id + 1]);
    const made: Scope = { name: "", version: "", attributes: [] };
    while (r.next()) {
      if (r.field === 1) made.name = r.text();
      else if (r.field === 2) made.version = r.text();
      else if (r.field === 3) made.attributes.push(this.attribute(r));
    }
    this.scopes.set(id, made);
    return made;
  }

  /** The attribute that the reader is at: one shared object for equal bytes. */
  private attribute(r: Reader): Attribute {
    return (this.attributes[this.table.number(r.from, r.to)] ??= readPair(r.message()));
  }
}

/** The key and value of an attribute. */
export function readPair(r: Reader): Attribute {
  const pair: Attribute = { key: "", value: null };
  while (r.next()) {
    if (r.field === 1) pair.key = r.text();
    else if (r.field === 2) pair.value = readValue(r.message(), 0);
  }
  return pair;
}

/** How deep a value may nest, so that hostile bytes cannot exhaust the stack. */
const deepest = 64;

function readValue(r: Reader, depth: number): Value {
  if (depth > deepest) throw new Error(`an attribute is nested more than ${deepest} levels deep`);
  let value: Value = null;
  while (r.next()) {
    switch (r.field) {
      case 1: value = r.text(); break;
      case 2: value = r.lo !== 0 || r.hi !== 0; break;
      case 3: value = r.signed(); break;
      case 4: value = r.double(); break;
      case 5: value = readArray(r.message(), depth + 1); break;
      case 6: value = readMap(r.message(), depth + 1); break;
      case 7: value = new Bytes(base64(r.bytes.subarray(r.from, r.to)));
    }
  }
  return value;
}

function readArray(r: Reader, depth: number): Value[] {
  const made: Value[] = [];
  while (r.next()) if (r.field === 1) made.push(readValue(r.message(), depth));
  return made;
}

function readMap(r: Reader, depth: number): Map<string, Value> {
  const made = new Map<string, Value>();
  while (r.next()) {
    if (r.field !== 1) continue;
    const pair = r.message();
    let [key, value]: [string, Value] = ["", null];
    while (pair.next()) {
      if (pair.field === 1) key = pair.text();
      else if (pair.field === 2) value = readValue(pair.message(), depth);
    }
    made.set(key, value);
  }
  return made;
}

export function base64(bytes: Uint8Array): string {
  let binary = "";
  for (let i = 0; i < bytes.length; i += 0x8000) binary += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(binary);
}
