// Drilling down into a metrics query without typing: narrowing it, breaking it down, and leaving out of a comparison
// conditions that only repeat the selection. Every step makes one visible query out of another.

import { addCondition, canNarrow } from "./query";
import type { Comparison } from "./traceqlmetrics";
import { quote } from "./value";

/** A query as its filter and its stages: "{ a }" and "| rate()". undefined where it does not begin with one simple filter. */
function parts(query: string): { filter: string; stages: string } | undefined {
  const found = /^(\s*\{[^{}]*\})\s*(\|[\s\S]*)$/.exec(query);
  return found && canNarrow(found[1]!) ? { filter: found[1]!, stages: found[2]! } : undefined;
}

/** The query for spans that meet the condition, too; undefined where its filter is not a simple one. */
export function narrowedBy(query: string, condition: string): string | undefined {
  const of = parts(query);
  return of && `${addCondition(of.filter, condition)} ${of.stages}`;
}

/** The filter of a query with one more condition: a search for examples. */
export function examplesOf(query: string, condition: string): string | undefined {
  const of = parts(query);
  return of && addCondition(of.filter, condition);
}

/** The metrics functions that group. */
const grouping = /^\|\s*(rate|count_over_time|quantile_over_time|histogram_over_time|min_over_time|max_over_time|avg_over_time|sum_over_time)\s*\(/;

/** The attribute by which a query is broken down: "" for none, undefined where it cannot be. */
export function breakdownOf(query: string): string | undefined {
  const of = parts(query);
  if (!of || !grouping.test(of.stages)) return undefined;
  return /\bby\s*\(([^()]*)\)/.exec(of.stages)?.[1]?.trim() ?? "";
}

/** The query broken down by an attribute; by "" for not at all. */
export function brokenDown(query: string, by: string): string {
  const of = parts(query);
  if (!of || breakdownOf(query) === undefined) return query;
  const bare = of.stages.replace(/\s*\bby\s*\([^()]*\)/, "");
  const call = /^\|\s*\w+\s*\([^()]*\)/.exec(bare)?.[0] ?? bare;
  return `${of.filter.trim()} ${call}${by === "" ? "" : ` by (${by})`}${bare.slice(call.length)}`;
}

const words: Record<string, string[]> = { kind: ["server", "client", "internal", "producer", "consumer", "unspecified"], status: ["error", "ok", "unset"] };

/** A condition that holds where an attribute has a value, or has not. The type of a value is lost in an answer: digits may be a number or a text. */
export function conditionOf({ attribute, value }: Pick<Comparison, "attribute" | "value">, not = false): string {
  const operator = not ? "!=" : "=";
  if (value === "nil") return `${attribute} ${operator} nil`;
  if (words[attribute]?.includes(value)) return `${attribute} ${operator} ${value}`;
  const text = `${attribute} ${operator} ${quote(value)}`;
  if (!/^(-?\d+(\.\d+)?|true|false)$/.test(value)) return text;
  return `(${attribute} ${operator} ${value} ${not ? "&&" : "||"} ${text})`;
}

/** Other names of a field of a selection. */
const sameAs: Record<string, string[]> = {
  status: ["status", "statusMessage"],
  statusMessage: ["status", "statusMessage"],
  duration: ["duration", "traceDuration"],
  traceDuration: ["duration", "traceDuration"],
  rootName: ["rootName"],
};

/** The fields that the selection of a comparison names. */
export function selectedFields(query: string): string[] {
  const selection = /\bcompare\s*\(\s*\{([^{}]*)\}/.exec(query)?.[1] ?? "";
  const bare = selection.replace(/"(?:[^"\\]|\\.)*"|`[^`]*`/g, " ");
  return [...new Set([...bare.matchAll(/([A-Za-z_.][\w.:\-/]*)\s*(?:=|!=|=~|!~|<|>)/g)].map((m) => m[1]!))];
}

/** A field without its scope, as intrinsics and attributes are written with and without one. */
function plain(field: string): string {
  return field.replace(/^(?:(?:span|resource|event|link|instrumentation|trace)[.:]|\.)/, "");
}

/** Rows that tell something, and the attributes of those that only say the selection again. */
export function telling(rows: Comparison[], query: string): { rows: Comparison[]; leftOut: string[] } {
  const said = new Set(selectedFields(query).flatMap((f) => sameAs[plain(f)] ?? [plain(f)]));
  const out = (r: Comparison): boolean => said.has(plain(r.attribute));
  return { rows: rows.filter((r) => !out(r)), leftOut: [...new Set(rows.filter(out).map((r) => r.attribute))] };
}
