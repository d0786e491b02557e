// Which spans a filter holds for. Columns decide what they know; texts and attributes are looked for in the bytes.

import type { ByteSearch } from "./bytesearch";
import { criticalPath } from "./criticalpath";
import { attributeField, expression, type Filter, type Literal, type Operator, type Scope as FactScope } from "./filter";
import { kinds, statusCodes, type Trace, wordsToHex } from "./trace";
import { formatValue, type Value } from "./value";

/** 1 for each span (by its place in the input) that the filter holds for. */
export function match(trace: Trace, search: ByteSearch, filter: Filter): Uint8Array {
  switch (filter.type) {
    case "all":
      return new Uint8Array(trace.length).fill(1);
    case "word":
      return word(trace, search, filter.text);
    case "condition":
      return condition(trace, search, filter.field, filter.operator, filter.value);
    case "not":
      return match(trace, search, filter.of).map((m) => 1 - m);
    default: {
      const [left, right] = [match(trace, search, filter.left), match(trace, search, filter.right)];
      return filter.type === "and" ? left.map((m, i) => m & right[i]!) : left.map((m, i) => m | right[i]!);
    }
  }
}

function word(trace: Trace, search: ByteSearch, text: string): Uint8Array {
  const { raw } = trace;
  const made = search.word(text);
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

function condition(trace: Trace, search: ByteSearch, field: string, operator: Operator, value: Literal): Uint8Array {
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
      return attribute(search, "span", "statusMessage", holds, value, operator);
    case "event:name":
      return attribute(search, "event", "name", holds, value, operator);
    case "instrumentation:name":
      return attribute(search, "instrumentation", "name", holds, value, operator);
    default: {
      const { scope, key } = attributeField(field);
      return attribute(search, scope, key, holds, value, operator);
    }
  }
}

function attribute(search: ByteSearch, scope: FactScope | undefined, key: string, holds: (v: Value) => boolean, value: Literal, operator: Operator): Uint8Array {
  if (value.type !== "nil") return search.attribute(scope, key, holds);
  const present = search.attribute(scope, key, () => true);
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
