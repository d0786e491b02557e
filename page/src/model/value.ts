// Attribute values: what OTLP can carry, how it is shown, and how TraceQL writes it.

/** OTLP's AnyValue. An int is a bigint and a double a number, so the two never mix. */
export type Value = string | bigint | number | boolean | null | Bytes | Value[] | Map<string, Value>;

/** A bytesValue, kept as the base64 text in which it came. */
export class Bytes {
  constructor(readonly base64: string) {}
}

export interface Attribute {
  key: string;
  value: Value;
}

/** The text of a value as a reader expects it: strings bare at the top, quoted inside arrays and maps. */
export function formatValue(value: Value): string {
  return typeof value === "string" ? value : format(value);
}

function format(value: Value): string {
  if (value === null) return "(empty)";
  if (typeof value === "string") return JSON.stringify(value);
  if (value instanceof Bytes) return `base64:${value.base64}`;
  if (Array.isArray(value)) return `[${value.map(format).join(", ")}]`;
  if (value instanceof Map) return `{${[...value].map(([k, v]) => `${JSON.stringify(k)}: ${format(v)}`).join(", ")}}`;
  if (typeof value === "number" && Number.isInteger(value)) return value.toFixed(1);
  return String(value);
}

/** The word for the type of a value, for tooltips and colours. */
export function typeOf(value: Value): string {
  if (value === null) return "empty";
  if (value instanceof Bytes) return "bytes";
  if (Array.isArray(value)) return "array";
  if (value instanceof Map) return "map";
  return { bigint: "int", number: "double", boolean: "bool", string: "string" }[typeof value as "string"] ?? "string";
}

/** The value as a TraceQL literal, or undefined where TraceQL has none (maps, bytes, arrays, NaN). */
export function literal(value: Value): string | undefined {
  if (typeof value === "string") return quote(value);
  if (typeof value === "bigint" || typeof value === "boolean") return String(value);
  if (typeof value === "number" && Number.isFinite(value)) return decimal(value);
  return undefined;
}

/** A double in plain decimal notation with a point, since TraceQL knows no exponent. */
function decimal(value: number): string {
  const text = String(value);
  if (!text.includes("e")) return text.includes(".") ? text : `${text}.0`;
  const plain = Math.abs(value) < 1 ? value.toFixed(20).replace(/0+$/, "") : BigInt(Math.trunc(value)).toString();
  return plain.includes(".") ? plain : `${plain}.0`;
}

/** A TraceQL string literal: Go's escapes. */
export function quote(text: string): string {
  const escaped = text.replace(/[\u0000-\u001f"\\\u007f]/g, (c) => {
    const short = { '"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" }[c];
    return short ?? `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
  return `"${escaped}"`;
}

const plainName = /^[\p{L}_][\p{L}\p{N}_.\-/@]*$/u;

/** An attribute's name after its scope ("resource", "span", or "" for either); unusual names are quoted. */
export function attributeName(scope: string, key: string): string {
  return `${scope}.${plainName.test(key) ? key : quote(key)}`;
}
