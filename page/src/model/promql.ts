// The PromQL that the page asks: Tempo's names of span metrics and service graph metrics, whoever computed them.

import type { Unit } from "./format";
import type { Seconds } from "./units";
import { quote } from "./value";

/** A matcher: equal to the text, or one of several texts. */
export type Match = string | string[];

/** A vector selector: up{job="etude"}. */
export function selector(metric: string, matches: Record<string, Match | undefined> = {}): string {
  const written = Object.entries(matches).filter(([, m]) => m !== undefined).map(([label, m]) => `${label}${matcher(m!)}`);
  return written.length === 0 ? metric : `${metric}{${written.join(",")}}`;
}

function matcher(match: Match): string {
  return typeof match === "string" ? `=${quote(match)}` : `=~${quote(match.map(escapeRegexp).join("|"))}`;
}

/** Text that a regular expression of RE2 matches literally. */
export function escapeRegexp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

/** Seconds as a PromQL duration, at least one. */
export function duration(seconds: Seconds): string {
  return `${Math.max(1, Math.round(seconds))}s`;
}

/** The spans with which a service is entered. They are what its rate, errors and durations are about. */
const entryKinds = ["SPAN_KIND_SERVER", "SPAN_KIND_CONSUMER"];
const failed = { status_code: "STATUS_CODE_ERROR" };
const calls = "traces_spanmetrics_calls_total";
const latency = "traces_spanmetrics_latency";
const observed = "etude_generator_observed_seconds_total";

/**
 * An expression about the entry spans, or about all spans for those services that have no entry span: a batch job
 * still has a rate. "or" decides by the labels that both sides keep, so both must aggregate alike.
 */
function entryOrAll(matches: Record<string, Match>, expression: (matches: Record<string, Match>) => string): string {
  return `${expression({ ...matches, span_kind: entryKinds })} or ${expression(matches)}`;
}

/**
 * How much a counter grew from the last sample before the window to the last one in it: whole numbers. Without
 * "anchored", increase() extrapolates to the ends of the window and makes 7 or 8 of 6 requests in a series' first minute.
 */
function growth(metric: string, matches: Record<string, Match>, window: Seconds): string {
  return `increase(${selector(metric, matches)}[${duration(window)}] anchored)`;
}

function sumCount(metric: string, matches: Record<string, Match>, by: string, window: Seconds): string {
  return `sum by (${by}) (${growth(metric, matches, window)})`;
}

/**
 * Counts by the seconds in which they were counted, both extrapolated alike: a backend that began two minutes ago has a
 * rate over two minutes, not over the hour. A backend that does not report how long it counted, such as Tempo, counted
 * all the time.
 */
function sumRate(metric: string, matches: Record<string, Match>, by: string, window: Seconds): string {
  const seconds = `max(increase(${observed}[${duration(window)}])) > 0 or vector(${Math.max(1, Math.round(window))})`;
  return `sum by (${by}) (increase(${selector(metric, matches)}[${duration(window)}])) / scalar(${seconds})`;
}

/** A quantile of native histograms, which are a few percent off at most, or of classic ones where there are no others. */
function quantile(q: number, metric: string, matches: Record<string, Match>, by: string, window: Seconds): string {
  const rate = (name: string, labels: string): string => `sum by (${labels}) (rate(${selector(name, matches)}[${duration(window)}]))`;
  return `(histogram_quantile(${q}, ${rate(metric, by)}) or histogram_quantile(${q}, ${rate(`${metric}_bucket`, `${by}, le`)}))`;
}

/** Spans a second by service. service narrows it to one. */
export function serviceRate(window: Seconds, service?: string): string {
  return entryOrAll(of(service), (m) => sumRate(calls, m, "service", window));
}

/** How many spans there were by service. service narrows it to one. */
export function serviceCount(window: Seconds, service?: string): string {
  return entryOrAll(of(service), (m) => sumCount(calls, m, "service", window));
}

/** The share of failed spans by service: 0 where none failed, absent where there was no span. */
export function serviceErrors(window: Seconds, service?: string): string {
  return entryOrAll(of(service), (m) => {
    const all = sumCount(calls, m, "service", window);
    return `(${sumCount(calls, { ...m, ...failed }, "service", window)} or 0 * ${all}) / (${all} > 0)`;
  });
}

export function serviceQuantile(q: number, window: Seconds, service?: string): string {
  return entryOrAll(of(service), (m) => quantile(q, latency, m, "service", window));
}

/** How many spans fell into each bucket, cumulated over le, in each step. */
export function serviceBuckets(step: Seconds, service: string): string {
  return entryOrAll(of(service), (m) => sumCount(`${latency}_bucket`, m, "le", step));
}

/** The expression that query_exemplars gets for the dots of a service. */
export function serviceExemplars(service: string): string {
  return selector(`${latency}_bucket`, { service, span_kind: entryKinds });
}

function of(service: string | undefined): Record<string, Match> {
  return service === undefined ? {} : { service };
}

const bySpan = "span_name, span_kind";

export function spanCount(service: string, window: Seconds): string {
  return sumCount(calls, { service }, bySpan, window);
}

export function spanRate(service: string, window: Seconds): string {
  return sumRate(calls, { service }, bySpan, window);
}

export function spanFailedRate(service: string, window: Seconds): string {
  return sumRate(calls, { service, ...failed }, bySpan, window);
}

export function spanQuantile(q: number, service: string, window: Seconds): string {
  return quantile(q, latency, { service }, bySpan, window);
}

const byEdge = "client, server, connection_type";

export function edgeCount(window: Seconds): string {
  return sumCount("traces_service_graph_request_total", {}, byEdge, window);
}

export function edgeRate(window: Seconds): string {
  return sumRate("traces_service_graph_request_total", {}, byEdge, window);
}

export function edgeFailedRate(window: Seconds): string {
  return sumRate("traces_service_graph_request_failed_total", {}, byEdge, window);
}

export function edgeQuantile(q: number, window: Seconds): string {
  return quantile(q, "traces_service_graph_request_server_seconds", {}, byEdge, window);
}

/** How many spans the bounds on series have put together, so that they are not told apart. */
export function overflow(window: Seconds): string {
  const of = (match: string): string => `sum(increase(${calls}{${match}}[${duration(window)}] anchored))`;
  return `(${of('metric_overflow="true"')} or vector(0)) + (${of('metric_overflow!="true",span_name="__cardinality_overflow__"')} or vector(0))`;
}

/** How often the generator writes its series. */
const collectionInterval: Seconds = 15;
const roundSteps: Seconds[] = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];

/** The step of a chart over so many seconds: round, never finer than the series, at most about points steps. */
export function chartStep(width: Seconds, points: number): Seconds {
  return roundSteps.find((s) => s >= (0.95 * width) / points) ?? roundSteps.at(-1)!;
}

/** The window of rate() for a step: at least four samples, and no sample between two windows. */
export function rateWindow(step: Seconds): Seconds {
  return Math.max(step + collectionInterval, 4 * collectionInterval);
}

/** The names that an expression may select: every word outside of strings, which is more than the metrics it has. */
export function selectors(expression: string): string[] {
  const bare = expression.replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|#[^\n]*/g, " ");
  return [...new Set(bare.match(/[a-zA-Z_:][\w:]*/g) ?? [])];
}

/** The unit that the names of an expression promise; a rate of seconds is a number without one. */
export function expressionUnit(expression: string): Unit {
  const names = selectors(expression);
  const has = (pattern: RegExp): boolean => names.some((n) => pattern.test(n));
  if (has(/^histogram_quantile$/)) return has(/(_seconds|latency)_bucket$|^traces_spanmetrics_latency/) ? "seconds" : "number";
  if (has(/^(rate|irate|increase|count|count_over_time|changes|resets)$/)) return "number";
  if (has(/_bytes$/)) return "bytes";
  return has(/_seconds$/) ? "seconds" : "number";
}
