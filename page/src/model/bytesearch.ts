// Finds texts and attributes in the bytes of a trace, without an index of them.
//
// A word is looked for in the undecoded bytes (Horspool's algorithm, with both cases of each letter), and a place that
// has it is then looked at: only texts that the reader can see count. Protobuf writes strings unchanged, so a search of 32 MB
// takes some 20 ms. It encodes numbers, lists and maps: spans list theirs by number, and each distinct one is decoded once.
// An index of every attribute was rejected: it took 400 ms and 100 MB for 100,000 spans, and the first key waited for it.
//
// Letters outside of ASCII match in both cases where both have the same length in UTF-8, which nearly all have.

import { ByteTable } from "./bytetable";
import { byResource, encodeSpans } from "./encode";
import type { Scope as FactScope } from "./filter";
import { ByteStore, indexSpans, readPair } from "./otlpbytes";
import type { Resource, Scope, Trace } from "./trace";
import { type Attribute, formatValue, type Value } from "./value";
import { Reader, wire } from "./wire";

/** A search of any trace: one that did not come as bytes is encoded first. */
export function searchOf(trace: Trace): ByteSearch {
  if (trace.store instanceof ByteStore) return new ByteSearch(trace.store);
  const spans = Array.from({ length: trace.length }, (_, source) => ({ ...trace.store.at(source), source }));
  // The order in which they are encoded.
  const sources = [...byResource(spans).values()].flatMap((scopes) => [...scopes.values()].flat()).map((s) => s.source);
  const bytes = encodeSpans(trace.id, spans);
  return new ByteSearch(new ByteStore(bytes, indexSpans(bytes).places), sources);
}

/** The fields of a span, as OTLP numbers them; of an event and a link, those with attributes. */
const field = { attribute: 9, event: 11, link: 13, status: 15, ofEvent: 3, ofLink: 4 } as const;

/** Names under which texts that are no attributes are asked for. */
const otherTexts = new Set(["name", "traceId", "statusMessage"]);

export class ByteSearch {
  readonly #others: Others;
  readonly #resources: string[] = [];
  readonly #scopes: string[] = [];

  /** sources are the places of the spans in the trace's input, where these differ from those in the bytes. */
  constructor(
    private readonly store: ByteStore,
    private readonly sources?: number[],
  ) {
    this.#others = new Others(store);
  }

  #bySource(made: Uint8Array): Uint8Array {
    if (!this.sources) return made;
    const moved = new Uint8Array(made.length);
    this.sources.forEach((source, i) => (moved[source] = made[i]!));
    return moved;
  }

  /** Prepares for so many more spans, and says whether that were all. A search does the rest itself. */
  prepare(spans: number): boolean {
    return this.#others.step(spans);
  }

  /** 1 for each span that has the text, which is in lower case, in an attribute, event, link or status message, or in its resource or scope. */
  word(text: string): Uint8Array {
    const made = new Uint8Array(this.store.length);
    this.#wordInShared(text, made);
    this.#others.word(text, made);
    const pattern = new Pattern(text);
    this.#mark(made, pattern, (span, at) => decideWord(span, at, pattern));
    return this.#bySource(made);
  }

  #wordInShared(text: string, made: Uint8Array): void {
    const { places } = this.store;
    const resources = marks(places.resources.length / 2, (id) => (this.#resources[id] ??= textOf(this.store.resource(id).attributes)).includes(text));
    const scopes = marks(places.scopes.length / 2, (id) => (this.#scopes[id] ??= textOf(scopeAttributes(this.store.scope(id)))).includes(text));
    for (let i = 0; i < made.length; i++) made[i] = resources[places.resourceIds[i]!]! | scopes[places.scopeIds[i]!]!;
  }

  /**
   * Marks the spans that have bytes of the pattern in a place that counts. decide says so for one place: below 0 for
   * yes, else the place from which to look on.
   */
  #mark(made: Uint8Array, pattern: Pattern, decide: (span: Reader, at: number) => number): void {
    const { bytes, places: { spans } } = this.store;
    const span = new Reader(bytes);
    let at = 0;
    for (let i = 0; i < made.length; ) {
      if (made[i]) {
        at = spans[2 * ++i - 1]!;
        continue;
      }
      at = pattern.find(bytes, Math.max(at, spans[2 * i]!));
      if (at < 0) return;
      while (i < made.length && spans[2 * i + 1]! <= at) i++;
      if (i === made.length) return;
      if (made[i] || at < spans[2 * i]!) continue;
      const next = decide(span.over(spans[2 * i]!, spans[2 * i + 1]!), at);
      if (next < 0) made[i] = 1;
      else at = Math.min(next, spans[2 * i + 1]!);
    }
  }

  /** 1 for each span that has the attribute, in the given scope or in any, with a value for which holds is true. */
  attribute(scope: FactScope | undefined, key: string, holds: (value: Value) => boolean): Uint8Array {
    const made = new Uint8Array(this.store.length);
    if (scope === undefined || scope === "resource" || scope === "instrumentation") this.#attributeInShared(scope, key, holds, made);
    if (scope === undefined || scope === "span" || scope === "event" || scope === "link") this.#attributeInSpans(scope, key, holds, made);
    return this.#bySource(made);
  }

  #attributeInShared(scope: FactScope | undefined, key: string, holds: (value: Value) => boolean, made: Uint8Array): void {
    const { places } = this.store;
    const has = (a: Attribute): boolean => a.key === key && holds(a.value);
    const resources = marks(scope === "instrumentation" ? 0 : places.resources.length / 2, (id) => this.store.resource(id).attributes.some(has));
    const scopes = marks(scope === "resource" ? 0 : places.scopes.length / 2, (id) => scopeAttributes(this.store.scope(id)).some(has));
    for (let i = 0; i < made.length; i++) made[i] = (resources[places.resourceIds[i]!] ?? 0) | (scopes[places.scopeIds[i]!] ?? 0);
  }

  #attributeInSpans(scope: FactScope | undefined, key: string, holds: (value: Value) => boolean, made: Uint8Array): void {
    const { bytes, places: { spans } } = this.store;
    const wanted = new Wanted(bytes, scope, key, holds);
    const r = new Reader(bytes);
    // Fast path: the bytes contain the key. The slow path is for the names that this file gives to other fields.
    if (key !== "" && !otherTexts.has(key)) return this.#mark(made, new Pattern(key, true), (span, at) => wanted.decide(span, at));
    for (let i = 0; i < made.length; i++) if (!made[i] && wanted.isIn(r.over(spans[2 * i]!, spans[2 * i + 1]!))) made[i] = 1;
  }
}

function marks(n: number, of: (i: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: n }, (_, i) => (of(i) ? 1 : 0));
}

function scopeAttributes(s: Scope): Attribute[] {
  return s.name === "" ? s.attributes : [{ key: "name", value: s.name }, ...s.attributes];
}

/** The texts of attributes, apart by a character that no filter can name. */
function textOf(list: Resource["attributes"]): string {
  return list.map((a) => pairText(a)).join("\u0000");
}

/** "key=value" in lower case: the text of an attribute. */
function pairText(a: Attribute): string {
  return `${a.key}=${formatValue(a.value)}`.toLowerCase();
}

/** A text as alternatives of bytes: the longest part of it that bytes must have, whatever the case. */
class Pattern {
  readonly low: Uint8Array;
  readonly high: Uint8Array;
  /** How far the last place may move on, by the byte that stands there. */
  readonly #skips: Uint32Array;
  /** Whether the part is the whole text, so that bytes that have it need not be decoded. */
  readonly whole: boolean;

  /** exact: in the case in which it is written, and with each "=". */
  constructor(readonly text: string, exact = false) {
    const encoder = new TextEncoder();
    let [best, run]: [[number, number][], [number, number][]] = [[], []];
    for (const c of text) {
      const [low, high] = [encoder.encode(c), encoder.encode(exact ? c : c.toUpperCase())];
      // "=" is no byte where it parts a key and its value.
      if ((c === "=" && !exact) || low.length !== high.length) run = [];
      else run = [...run, ...Array.from(low, (b, i): [number, number] => [b, high[i]!])];
      if (run.length > best.length) best = run;
    }
    this.low = Uint8Array.from(best, ([low]) => low);
    this.high = Uint8Array.from(best, ([, high]) => high);
    this.whole = best.length === encoder.encode(text).length;
    const last = Math.max(0, best.length - 1);
    this.#skips = new Uint32Array(256).fill(Math.max(1, best.length));
    for (let i = 0; i < last; i++) this.#skips[this.low[i]!] = this.#skips[this.high[i]!] = last - i;
  }

  /** The first place from which the bytes have the part, or -1. */
  find(bytes: Uint8Array, from: number): number {
    const end = bytes.length;
    const last = this.low.length - 1;
    if (last < 0) return from < end ? from : -1;
    const skips = this.#skips;
    const [low, high] = [this.low[last]!, this.high[last]!];
    if (last === 0 && low === high) return bytes.indexOf(low, from);
    for (let at = from + last; at < end; ) {
      const byte = bytes[at]!;
      if ((byte === low || byte === high) && this.#is(bytes, at - last)) return at - last;
      at += skips[byte]!;
    }
    return -1;
  }

  #is(bytes: Uint8Array, at: number): boolean {
    for (let i = 0; i < this.low.length; i++) if (bytes[at + i] !== this.low[i] && bytes[at + i] !== this.high[i]) return false;
    return true;
  }
}

/** Whether the text at a place of a span is one that counts. A field is decided as a whole, so that no bytes are decoded twice. */
function decideWord(span: Reader, at: number, p: Pattern): number {
  if (!into(span, at, withTexts)) return beyond;
  if (at < span.from) return span.from;
  if (span.field === field.attribute) return decidePair(span, at, p);
  const text = span.field === field.link ? 0 : 2;
  const attributes = span.field === field.event ? field.ofEvent : span.field === field.link ? field.ofLink : 0;
  const end = span.to;
  const part = span.message();
  if (!into(part, at, (1 << text) | (1 << attributes))) return end;
  if (at < part.from) return part.from;
  if (part.field === attributes) return decidePair(part, at, p);
  return part.text().toLowerCase().includes(p.text) ? -1 : part.to;
}

/** A bit for each field that has texts. */
const withTexts = (1 << field.attribute) | (1 << field.event) | (1 << field.link) | (1 << field.status);

/** No place of the span. */
const beyond = 2 ** 31;

/** Moves on to the field that the place is in, or to the next one after it of those that count: one bit for each. */
function into(r: Reader, at: number, counts: number): boolean {
  while (r.next()) if (r.type === wire.bytes && at < r.to && r.field < 32 && (counts >>> r.field) & 1) return true;
  return false;
}

function decidePair(at: Reader, place: number, p: Pattern): number {
  // Fast path: the place is inside of the key or of a string, as it stands.
  if (p.whole) {
    const pair = at.message();
    const end = place + p.low.length;
    while (pair.next()) {
      if (pair.field === 1 && pair.from <= place && end <= pair.to) return -1;
      if (pair.field !== 2 || pair.from > place || end > pair.to) continue;
      const value = pair.message();
      if (value.next() && value.field === 1 && value.from <= place && end <= value.to) return -1;
    }
  }
  return pairText(readPair(at.message())).includes(p.text) ? -1 : at.to;
}

function sameBytes(bytes: Uint8Array, at: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text[i]) return false;
  return true;
}

/** Attributes whose values are not strings, and ids of linked traces: the bytes do not contain their texts. */
class Others {
  readonly #starts: Int32Array;
  #ids = new Int32Array(64);
  #n = 0;
  #at = 0;
  readonly #linked: number[] = [];
  readonly #table: ByteTable;
  /** By number: the text, and whether the value is a number or a truth value. */
  readonly #texts: string[] = [];
  readonly #scalar: boolean[] = [];

  constructor(private readonly store: ByteStore) {
    this.#table = new ByteTable(store.bytes);
    this.#starts = new Int32Array(store.length + 1);
  }

  step(spans: number): boolean {
    const { bytes, places, length } = this.store;
    const end = Math.min(length, this.#at + spans);
    const [r, inner] = [new Reader(bytes), new Reader(bytes)];
    for (let i = this.#at; i < end; i++) {
      for (r.over(places.spans[2 * i]!, places.spans[2 * i + 1]!); r.next(); ) {
        if (r.field === field.attribute) this.#add(r.from, r.to);
        else if (r.field === field.event || r.field === field.link) {
          const attributes = r.field === field.event ? field.ofEvent : field.ofLink;
          if (r.field === field.link) this.#linked.push(i);
          for (inner.over(r.from, r.to); inner.next(); ) if (inner.field === attributes) this.#add(inner.from, inner.to);
        }
      }
      this.#starts[i + 1] = this.#n;
    }
    this.#at = end;
    return end === length;
  }

  #add(from: number, to: number): void {
    if (isString(this.store.bytes, from, to)) return;
    if (this.#n === this.#ids.length) {
      const grown = new Int32Array(2 * this.#n);
      grown.set(this.#ids);
      this.#ids = grown;
    }
    this.#ids[this.#n++] = this.#table.number(from, to);
  }

  word(text: string, made: Uint8Array): void {
    this.step(made.length);
    if (/^[0-9a-f]+$/.test(text)) for (const i of this.#linked) if (this.store.at(i).links.some((l) => l.traceId.includes(text))) made[i] = 1;
    const number = canBeScalar(text);
    const has = marks(this.#table.size, (n) => {
      if (this.#texts[n] === undefined) this.#read(n);
      return (number || !this.#scalar[n]) && this.#texts[n]!.includes(text);
    });
    if (!has.includes(1)) return;
    for (let i = 0; i < made.length; i++) for (let k = this.#starts[i]!; k < this.#starts[i + 1]!; k++) if (has[this.#ids[k]!]) made[i] = 1;
  }

  #read(n: number): void {
    const pair = readPair(new Reader(this.store.bytes, this.#table.from(n), this.#table.to(n)));
    this.#texts[n] = pairText(pair);
    this.#scalar[n] = typeof pair.value !== "object";
  }
}

/** Whether a key and a string are all of an attribute, in the order in which everyone writes them. Anything else may be one, too. */
function isString(bytes: Uint8Array, from: number, to: number): boolean {
  const value = from + 2 + bytes[from + 1]!;
  if (bytes[from] !== 0x0a || bytes[from + 1]! > 0x7f || value + 2 >= to || bytes[value] !== 0x12) return false;
  let at = value + 1;
  while (at < to && bytes[at]! > 0x7f) at++;
  return at + 1 < to && bytes[at + 1] === 0x0a;
}

/** Whether a text may be in the text of a number or truth value; the text of a key is in the bytes. */
function canBeScalar(text: string): boolean {
  return text.includes("=") || /^[-+.0-9e]*$/.test(text) || ["true", "false", "nan", "infinity", "-infinity"].some((word) => word.includes(text));
}

/** An attribute that is asked for. */
class Wanted {
  readonly #key: Uint8Array;
  readonly #part: Reader;
  readonly #pair: Reader;
  readonly #value: Reader;
  /** A bit for each field of the scope. */
  #fields = 0;

  constructor(
    private readonly bytes: Uint8Array<ArrayBuffer>,
    scope: FactScope | undefined,
    private readonly key: string,
    private readonly holds: (value: Value) => boolean,
  ) {
    this.#key = new TextEncoder().encode(key);
    [this.#part, this.#pair, this.#value] = [new Reader(bytes), new Reader(bytes), new Reader(bytes)];
    const scopes = { [field.attribute]: "span", [field.status]: "span", [field.event]: "event", [field.link]: "link" };
    for (const [f, of] of Object.entries(scopes)) if (scope === undefined || scope === of) this.#fields |= 1 << Number(f);
  }

  /** Whether a place of a span is in it. */
  decide(span: Reader, at: number): number {
    if (!into(span, at, this.#fields)) return beyond;
    if (at < span.from) return span.from;
    if (span.field === field.attribute) return this.#isAt(span.from, span.to) ? -1 : span.to;
    const attributes = span.field === field.event ? field.ofEvent : field.ofLink;
    const part = this.#part.over(span.from, span.to);
    if (span.field === field.status || !into(part, at, 1 << attributes)) return span.to;
    if (at < part.from) return part.from;
    return this.#isAt(part.from, part.to) ? -1 : part.to;
  }

  /** Whether a span has it, also as a text that is no attribute: the name of an event, the trace of a link, the message of a status. */
  isIn(span: Reader): boolean {
    while (into(span, 0, this.#fields)) {
      if (span.field === field.attribute && this.#isAt(span.from, span.to)) return true;
      if (span.field === field.event && this.#isInPart(span, "name", 2, field.ofEvent)) return true;
      if (span.field === field.link && this.#isInPart(span, "traceId", 1, field.ofLink)) return true;
      if (span.field === field.status && this.#isInPart(span, "statusMessage", 2, 0)) return true;
    }
    return false;
  }

  #isInPart(span: Reader, name: string, text: number, attributes: number): boolean {
    for (const part = this.#part.over(span.from, span.to); part.next(); ) {
      if (part.field === attributes && this.#isAt(part.from, part.to)) return true;
      if (part.field !== text || this.key !== name) continue;
      const value = name === "traceId" ? part.hex() : part.text();
      if ((name !== "statusMessage" || value !== "") && this.holds(value)) return true;
    }
    return false;
  }

  #isAt(from: number, to: number): boolean {
    const { bytes } = this;
    const length = this.#key.length;
    // Fast path: the key is short and comes first, where everyone writes it. Another one is done; a string needs no object.
    if (length < 0x80 && bytes[from] === 0x0a && bytes[from + 1]! < 0x80) {
      if (bytes[from + 1] !== length || !sameBytes(bytes, from + 2, this.#key)) return false;
      const [pair, value] = [this.#pair.over(from + 2 + length, to), this.#value];
      if (pair.next() && pair.field === 2 && value.over(pair.from, pair.to).next() && value.field === 1 && value.to === to) return this.holds(value.text());
    }
    const read = readPair(new Reader(bytes, from, to));
    return read.key === this.key && this.holds(read.value);
  }
}
