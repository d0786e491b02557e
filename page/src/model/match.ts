// Which spans a filter holds for.
//
// Spans repeat their attributes, so a condition is decided once for each distinct attribute and then looked up by
// number for each span. That index is built once a trace and costs a pass over all attributes; after it a key stroke
// costs a few passes over typed arrays, whatever was typed.

import { criticalPath } from "./criticalpath";
import { attributeField, expression, type Filter, type Literal, type Operator, type Scope as FactScope } from "./filter";
import { kinds, type Resource, type Scope, type SpanData, statusCodes, type Trace, wordsToHex } from "./trace";
import { type Attribute, formatValue, type Value } from "./value";

interface Fact {
  scope: FactScope;
  key: string;
  value: Value;
  /** "key=value" in lower case: the text that is searched for a word. */
  text: string;
}

export interface MatchIndex {
  facts: Fact[];
  /** The facts of span i (by source): ids[starts[i]] .. ids[starts[i+1]-1]. */
  starts: Int32Array;
  ids: Int32Array;
}

export function buildIndex(trace: Trace): MatchIndex {
  const made = new IndexBuilder(trace);
  made.step(trace.length);
  return made.finish();
}

/** Builds an index in steps, so that whoever builds it can answer something else in between. */
export class IndexBuilder {
  readonly #facts = new Facts();
  readonly #starts: Int32Array;
  #ids: Int32Array;
  #n = 0;
  /** The next span. */
  #at = 0;
  /** Resources and scopes are shared objects: their facts are found once. */
  readonly #shared = new Map<object, number[]>();
  /** The fact of each attribute number of the store. */
  readonly #factOf: number[] = [];
  readonly #numbers: number[] = [];

  constructor(private readonly trace: Trace) {
    this.#starts = new Int32Array(trace.length + 1);
    this.#ids = new Int32Array(Math.max(64, trace.length * 12));
  }

  /** Reads so many more spans, and says whether that were all. */
  step(spans: number): boolean {
    const { store, length } = this.trace;
    const end = Math.min(length, this.#at + spans);
    for (let i = this.#at; i < end; i++) {
      const has = store.numbers?.(i, this.#numbers) ?? -1;
      if (has < 0) this.#addSpan(store.at(i));
      else {
        // Fast path: nearly every span has attributes alone.
        for (let k = 0; k < has; k++) {
          const number = this.#numbers[k]!;
          this.#push((this.#factOf[number] ??= this.#facts.add("span", store.attributeOf!(number))));
        }
        this.#addResource(store.resourceOf!(i));
        this.#addScope(store.scopeOf!(i));
      }
      this.#starts[i + 1] = this.#n;
    }
    this.#at = end;
    return end === length;
  }

  finish(): MatchIndex {
    return { facts: this.#facts.list, starts: this.#starts, ids: this.#ids.slice(0, this.#n) };
  }

  #push(id: number): void {
    if (this.#n === this.#ids.length) {
      const grown = new Int32Array(2 * this.#n);
      grown.set(this.#ids);
      this.#ids = grown;
    }
    this.#ids[this.#n++] = id;
  }

  #addShared(of: object, list: () => number[]): void {
    let known = this.#shared.get(of);
    if (!known) this.#shared.set(of, (known = list()));
    for (const id of known) this.#push(id);
  }

  #addResource(r: Resource): void {
    this.#addShared(r, () => r.attributes.map((a) => this.#facts.of("resource", a)));
  }

  #addScope(s: Scope): void {
    this.#addShared(s, () => [...(s.name === "" ? [] : [{ key: "name", value: s.name }]), ...s.attributes].map((a) => this.#facts.of("instrumentation", a)));
  }

  #addSpan(span: SpanData): void {
    const add = (scope: FactScope, a: Attribute): void => this.#push(this.#facts.of(scope, a));
    for (const a of span.attributes) add("span", a);
    this.#addResource(span.resource);
    this.#addScope(span.scope);
    for (const e of span.events) {
      add("event", { key: "name", value: e.name });
      for (const a of e.attributes) add("event", a);
    }
    for (const l of span.links) {
      add("link", { key: "traceId", value: l.traceId });
      for (const a of l.attributes) add("link", a);
    }
    if (span.statusMessage !== "") add("span", { key: "statusMessage", value: span.statusMessage });
  }
}

/** Fields that are columns of the trace: they are decided without an index. */
const columnFields = new Set([
  "name", "span:name", "service", "service.name", "resource.service.name", "kind", "span:kind", "status", "span:status", "duration", "span:duration",
  "own", "critical", "children", "childCount", "span:childCount", "span:id",
]);

/** Whether a filter can be decided only with an index of the attributes. */
export function needsIndex(filter: Filter): boolean {
  switch (filter.type) {
    case "all": return false;
    case "word": return true;
    case "condition": return !columnFields.has(filter.field);
    case "not": return needsIndex(filter.of);
    default: return needsIndex(filter.left) || needsIndex(filter.right);
  }
}

/** The index of a trace for filters that need none. */
export const noIndex: MatchIndex = { facts: [], starts: new Int32Array(0), ids: new Int32Array(0) };

class Facts {
  readonly list: Fact[] = [];
  /** Attributes of large traces are shared objects, so most are found without looking at their text. */
  #byObject: Record<FactScope, Map<Attribute, number>> = { span: new Map(), resource: new Map(), event: new Map(), link: new Map(), instrumentation: new Map() };
  #byText = new Map<string, number>();

  of(scope: FactScope, a: Attribute): number {
    const known = this.#byObject[scope].get(a);
    if (known !== undefined) return known;
    const text = `${a.key}=${formatValue(a.value)}`;
    const name = `${scope} ${typeof a.value} ${text}`;
    let id = this.#byText.get(name);
    if (id === undefined) {
      id = this.add(scope, a, text);
      this.#byText.set(name, id);
    }
    this.#byObject[scope].set(a, id);
    return id;
  }

  /** Adds a fact of which the caller knows that it is a new one. */
  add(scope: FactScope, a: Attribute, text = `${a.key}=${formatValue(a.value)}`): number {
    return this.list.push({ scope, key: a.key, value: a.value, text: text.toLowerCase() }) - 1;
  }
}

/** 1 for each span (by its place in the input) that the filter holds for. */
export function match(trace: Trace, index: MatchIndex, filter: Filter): Uint8Array {
  switch (filter.type) {
    case "all":
      return new Uint8Array(trace.length).fill(1);
    case "word":
      return word(trace, index, filter.text);
    case "condition":
      return condition(trace, index, filter.field, filter.operator, filter.value);
    case "not":
      return match(trace, index, filter.of).map((m) => 1 - m);
    default: {
      const [left, right] = [match(trace, index, filter.left), match(trace, index, filter.right)];
      return filter.type === "and" ? left.map((m, i) => m & right[i]!) : left.map((m, i) => m | right[i]!);
    }
  }
}

/** Spans of which one of the facts is marked. */
function withFact(trace: Trace, index: MatchIndex, marked: Uint8Array): Uint8Array {
  const made = new Uint8Array(trace.length);
  if (!marked.includes(1)) return made;
  const { starts, ids } = index;
  for (let i = 0; i < trace.length; i++) {
    for (let k = starts[i]!; k < starts[i + 1]!; k++) {
      if (marked[ids[k]!]) {
        made[i] = 1;
        break;
      }
    }
  }
  return made;
}

function word(trace: Trace, index: MatchIndex, text: string): Uint8Array {
  const { raw } = trace;
  const made = withFact(trace, index, Uint8Array.from(index.facts, (f) => (f.text.includes(text) ? 1 : 0)));
  const named = raw.names.map((n) => n.toLowerCase().includes(text));
  const served = raw.services.map((s) => s.toLowerCase().includes(text));
  const id = /^[0-9a-f]{4,16}$/.test(text);
  for (let i = 0; i < trace.length; i++) {
    if (named[raw.nameIds[i]!] || served[raw.serviceIds[i]!] || (id && spanId(trace, i).includes(text))) made[i] = 1;
  }
  return made;
}

function spanId(trace: Trace, source: number): string {
  return wordsToHex(trace.raw.ids[2 * source]!, trace.raw.ids[2 * source + 1]!);
}

function condition(trace: Trace, index: MatchIndex, field: string, operator: Operator, value: Literal): Uint8Array {
  const holds = comparison(operator, value);
  const { raw } = trace;
  const each = (of: (source: number) => Value): Uint8Array => Uint8Array.from({ length: trace.length }, (_, i) => (holds(of(i)) ? 1 : 0));
  const byNumber = (words: readonly string[], of: ArrayLike<number>): Uint8Array => {
    const marks = words.map((w) => holds(w));
    return Uint8Array.from(of, (n) => (marks[n] ? 1 : 0));
  };
  const byRow = (of: ArrayLike<number | boolean>): Uint8Array => {
    const made = new Uint8Array(trace.length);
    for (let row = 0; row < trace.length; row++) made[trace.order[row]!] = holds(of[row]!) ? 1 : 0;
    return made;
  };
  switch (field) {
    case "name":
    case "span:name":
      return byNumber(raw.names, raw.nameIds);
    case "service":
    case "service.name":
    case "resource.service.name":
      return byNumber(raw.services, raw.serviceIds);
    case "kind":
    case "span:kind":
      return byNumber(kinds, raw.kinds);
    case "status":
    case "span:status":
      // A span that says error=true failed, whatever its status says.
      return each((i) => (raw.errors[i] ? "error" : statusCodes[raw.statuses[i]!]!));
    case "duration":
    case "span:duration":
      return byRow(trace.durations);
    case "own":
      return byRow(trace.selfTimes);
    case "critical": {
      const on = new Uint8Array(trace.length);
      for (const s of criticalPath(trace).shares) if (s.span >= 0) on[s.span] = 1;
      return byRow(Array.from(on, (n) => n === 1));
    }
    case "children":
    case "childCount":
    case "span:childCount":
      return byRow(trace.childCounts);
    case "span:id":
      return each((i) => spanId(trace, i));
    case "statusMessage":
    case "span:statusMessage":
      return attribute(trace, index, "span", "statusMessage", holds, value, operator);
    case "event:name":
      return attribute(trace, index, "event", "name", holds, value, operator);
    case "instrumentation:name":
      return attribute(trace, index, "instrumentation", "name", holds, value, operator);
    default: {
      const { scope, key } = attributeField(field);
      return attribute(trace, index, scope, key, holds, value, operator);
    }
  }
}

function attribute(trace: Trace, index: MatchIndex, scope: FactScope | undefined, key: string, holds: (v: Value) => boolean, value: Literal, operator: Operator): Uint8Array {
  const has = (f: Fact): boolean => f.key === key && (scope === undefined || f.scope === scope);
  if (value.type !== "nil") return withFact(trace, index, Uint8Array.from(index.facts, (f) => (has(f) && holds(f.value) ? 1 : 0)));
  const present = withFact(trace, index, Uint8Array.from(index.facts, (f) => (has(f) ? 1 : 0)));
  return operator === "!=" ? present : present.map((m) => 1 - m);
}

/** Whether a value has the given relation to a literal. Values that cannot be compared do not hold. */
function comparison(operator: Operator, to: Literal): (value: Value) => boolean {
  if (operator === "=~" || operator === "!~") {
    const regex = expression(to);
    return (v) => regex.test(formatValue(v)) === (operator === "=~");
  }
  if (operator === "=") return (v) => equal(v, to);
  if (operator === "!=") return (v) => !equal(v, to);
  return (v) => {
    const [a, b] = [numberOf(v), to.type === "number" ? to.value : to.type === "duration" ? to.ns : undefined];
    const order = a !== undefined && b !== undefined ? a - b : typeof v === "string" && to.type === "text" ? (v < to.text ? -1 : v > to.text ? 1 : 0) : NaN;
    return operator === "<" ? order < 0 : operator === "<=" ? order <= 0 : operator === ">" ? order > 0 : order >= 0;
  };
}

function equal(v: Value, to: Literal): boolean {
  if (Array.isArray(v)) return v.some((item) => equal(item, to));
  if (to.type === "duration") return numberOf(v) === to.ns || formatValue(v) === to.text;
  const number = numberOf(v);
  if (to.type === "number" && number !== undefined) return number === to.value;
  return formatValue(v) === to.text;
}

function numberOf(v: Value): number | undefined {
  return typeof v === "number" ? v : typeof v === "bigint" ? Number(v) : undefined;
}
