// From the search form to TraceQL: the teaching half of the form is that the reader sees what it amounts to.

import { parseLogfmt, type Pair } from "./logfmt";
import { attributeName, quote } from "./value";

export interface Form {
  service: string;
  name: string;
  /** logfmt */
  tags: string;
  /** Lengths of the whole trace, such as 1.2s or 100ms. */
  min: string;
  max: string;
  limit: string;
}

export type FormErrors = Partial<Record<keyof Form, string>>;

export const defaultLimit = 20;
export const emptyForm: Form = { service: "", name: "", tags: "", min: "", max: "", limit: "" };

/** The mistakes in the form, field by field; {} when it can be run. */
export function checkForm(form: Form): FormErrors {
  const errors: FormErrors = {};
  const check = (field: keyof Form, read: () => unknown): void => {
    try {
      read();
    } catch (err) {
      errors[field] = (err as Error).message;
    }
  };
  check("tags", () => parseLogfmt(form.tags));
  check("min", () => form.min.trim() !== "" && parseDuration(form.min));
  check("max", () => checkMax(form));
  check("limit", () => parseLimit(form.limit));
  return errors;
}

function checkMax(form: Form): void {
  if (form.max.trim() === "") return;
  const max = parseDuration(form.max);
  if (form.min.trim() !== "" && safeDuration(form.min) > max) throw new Error("must not be less than the min duration");
}

function safeDuration(text: string): bigint {
  try {
    return parseDuration(text);
  } catch {
    return 0n;
  }
}

/** A positive number of traces; the empty field means the default. */
export function parseLimit(text: string): number {
  if (text.trim() === "") return defaultLimit;
  const limit = Number(text);
  if (!Number.isInteger(limit) || limit < 1) throw new Error("must be a whole number from 1");
  if (limit > 10_000) throw new Error("must be at most 10000");
  return limit;
}

/** The TraceQL that a valid form amounts to. Throws where checkForm would report an error. */
export function formQuery(form: Form): string {
  const conditions: string[] = [];
  if (form.service.trim() !== "") conditions.push(`resource.service.name=${quote(form.service.trim())}`);
  if (form.name.trim() !== "") conditions.push(`name=${quote(form.name.trim())}`);
  conditions.push(...parseLogfmt(form.tags).map(tagCondition));
  if (form.min.trim() !== "") conditions.push(`trace:duration>=${durationLiteral(form.min)}`);
  if (form.max.trim() !== "") conditions.push(`trace:duration<=${durationLiteral(form.max)}`);
  return conditions.length === 0 ? "{}" : `{ ${conditions.join(" && ")} }`;
}

const keywords = new Set(["status", "kind"]);
const textIntrinsics = new Set(["name", "statusMessage", "rootName", "rootServiceName"]);
const scopes = ["resource", "span", "event", "link", "instrumentation"];

/** One tag as a TraceQL condition. error=true is the old spelling of a failed span. */
function tagCondition(pair: Pair): string {
  const { key, value, quoted } = pair;
  if (value === undefined) return `${tagName(key)} != nil`;
  if (key === "error" && value === "true" && !quoted) return "status=error";
  if (keywords.has(key) || /^(span|trace):/.test(key)) return `${key}=${intrinsicLiteral(key, pair)}`;
  if (textIntrinsics.has(key)) return `${key}=${quote(value)}`;
  return `${tagName(key)}=${quoted ? quote(value) : bareLiteral(value)}`;
}

function intrinsicLiteral(key: string, pair: Pair): string {
  const value = pair.value ?? "";
  const isKeyword = /(^|:)(status|kind)$/.test(key) && /^[a-z]+$/.test(value);
  return isKeyword || (/uration$/.test(key) && !pair.quoted) ? value : quote(value);
}

function tagName(key: string): string {
  const scope = scopes.find((s) => key.startsWith(`${s}.`) && key.length > s.length + 1);
  return scope ? attributeName(scope, key.slice(scope.length + 1)) : attributeName("", key.replace(/^\.(?=.)/, ""));
}

/** Bare numbers and booleans are typed, everything else is text. Quoted values are always text. */
function bareLiteral(value: string): string {
  return /^-?\d+(\.\d+)?$/.test(value) || value === "true" || value === "false" ? value : quote(value);
}

const durationUnits: Record<string, bigint> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};

/** Go's durations: 1.2s, 100ms, 1m30s. In nanoseconds. */
export function parseDuration(text: string): bigint {
  const rest = text.trim();
  const part = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/gy;
  let total = 0n;
  let end = 0;
  for (let match = part.exec(rest); match; match = part.exec(rest)) {
    total += scaled(match[1]!, durationUnits[match[2]!]!);
    end = part.lastIndex;
  }
  if (end === 0 || end !== rest.length) throw new Error('write a length of time such as "100ms" or "1.2s"');
  return total;
}

function scaled(decimal: string, unit: bigint): bigint {
  const [whole = "", fraction = ""] = decimal.split(".");
  const digits = fraction.slice(0, 12);
  return BigInt(whole || "0") * unit + (BigInt(digits || "0") * unit) / 10n ** BigInt(digits.length);
}

/** A TraceQL duration of one unit, the largest that keeps it whole: 1m30s reads 90s. */
function durationLiteral(text: string): string {
  const ns = parseDuration(text);
  if (/^\d+(\.\d+)?(ns|us|ms|s|m|h)$/.test(text.trim())) return text.trim();
  for (const unit of ["h", "m", "s", "ms", "us"]) {
    const size = durationUnits[unit]!;
    if (ns !== 0n && ns % size === 0n) return `${ns / size}${unit}`;
  }
  return `${ns}ns`;
}

/** Whether addCondition narrows a query: whether it is one simple filter. */
export function canNarrow(query: string): boolean {
  return /^\s*\{[^{}]*\}\s*$/.test(query);
}

/**
 * Narrows a query by one more condition: `{ a }` becomes `{ a && condition }`. Where the query is more than one
 * simple filter, the condition replaces the query, since joining it could change the meaning of the rest.
 */
export function addCondition(query: string, condition: string): string {
  const inner = /^\s*\{([^{}]*)\}\s*$/.exec(query)?.[1]?.trim() ?? "";
  if (inner === "" || inner === "true") return `{ ${condition} }`;
  if (inner.includes(condition)) return query;
  return inner.includes("||") ? `{ (${inner}) && ${condition} }` : `{ ${inner} && ${condition} }`;
}
