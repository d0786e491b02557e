// The words of TraceQL with a line about each, and where in a query each may stand: for completion in the editor.

export interface Word {
  label: string;
  detail: string;
}

/** Functions that may follow a "|". */
export const stages: Word[] = [
  { label: "count()", detail: "the number of matched spans: | count() > 3" },
  { label: "avg(duration)", detail: "the mean of a field over the matched spans" },
  { label: "min(duration)", detail: "the least of a field" },
  { label: "max(duration)", detail: "the greatest of a field" },
  { label: "sum(duration)", detail: "the sum of a field" },
  { label: "by(resource.service.name)", detail: "groups the matched spans" },
  { label: "select(span.http.status_code)", detail: "adds fields to the answer: they become columns under Spans" },
  { label: "coalesce()", detail: "joins groups again" },
  { label: "rate()", detail: "spans a second over time" },
  { label: "count_over_time()", detail: "spans in each step" },
  { label: "quantile_over_time(duration, .5, .95, .99)", detail: "quantiles over time" },
  { label: "histogram_over_time(duration)", detail: "a heat map" },
  { label: "min_over_time(duration)", detail: "the least in each step" },
  { label: "max_over_time(duration)", detail: "the greatest in each step" },
  { label: "avg_over_time(duration)", detail: "the mean in each step" },
  { label: "sum_over_time(duration)", detail: "the sum in each step" },
  { label: "compare({ status = error })", detail: "what the chosen spans have that the others have not" },
  { label: "topk(5)", detail: "the five greatest series" },
  { label: "bottomk(5)", detail: "the five least series" },
];

/** Fields that every span has. */
export const intrinsics: Word[] = [
  { label: "name", detail: "the span's operation" },
  { label: "status", detail: "error, ok or unset" },
  { label: "statusMessage", detail: "what the program said about the status" },
  { label: "duration", detail: "of the span: 100ms, 1.5s" },
  { label: "kind", detail: "server, client, internal, producer, consumer" },
  { label: "rootName", detail: "the operation of the trace's root" },
  { label: "rootServiceName", detail: "the service of the trace's root" },
  { label: "trace:duration", detail: "of the whole trace" },
  { label: "trace:id", detail: "the trace's id" },
  { label: "span:id", detail: "the span's id" },
  { label: "span:parentID", detail: "the id of the span's parent" },
  { label: "span:childCount", detail: "how many children the span has" },
  { label: "event:name", detail: "the name of one of its events" },
  { label: "event:timeSinceStart", detail: "when an event happened" },
  { label: "link:traceID", detail: "the trace that a link names" },
  { label: "instrumentation:name", detail: "the library that made the span" },
];

/** Between two filters. */
export const joins: Word[] = [
  { label: "&&", detail: "both occur in the trace" },
  { label: "||", detail: "one of them occurs" },
  { label: ">>", detail: "the right one is below the left one" },
  { label: ">", detail: "the right one is a child of the left one" },
  { label: "<<", detail: "the right one is above the left one" },
  { label: "~", detail: "they are siblings" },
  { label: "|", detail: "a stage follows" },
];

/** The meaning of a word of a query; undefined for words of the reader's own. */
export function describe(word: string): string | undefined {
  const bare = (w: Word): string => w.label.replace(/\(.*$/, "");
  const stage = stages.find((w) => bare(w) === word);
  if (stage) return `${stage.label}: ${stage.detail}`;
  const field = intrinsics.find((w) => w.label === word || w.label === `span:${word}` || `span:${w.label}` === word);
  if (field) return `${word}: ${field.detail}`;
  return { resource: "resource.…: an attribute of the process", span: "span.…: an attribute of the span", event: "event.…: an attribute of one of its events", link: "link.…: an attribute of a link", instrumentation: "instrumentation.…: an attribute of the library that made the span", nil: "nil: there is no such attribute" }[word];
}

/** Where a text ends: inside a filter or an argument list, after a "|", after a whole filter, or at the very start. */
export type Place = "start" | "field" | "stage" | "after";

export function placeAt(before: string): Place {
  let depth = 0;
  let last = "";
  for (const part of before.match(/"(?:[^"\\]|\\.)*"?|`[^`]*`?|\/\/[^\n]*|&&|\|\||\S/g) ?? []) {
    if (part.startsWith("//")) continue;
    if (part === "{" || part === "(") depth++;
    if (part === "}" || part === ")") depth = Math.max(0, depth - 1);
    last = part;
    if (depth > 0) last = "";
    else if (/^[\w.:]$/.test(part) && /\|\s*[\w.:]*$/.test(before)) last = "|";
  }
  if (depth > 0) return "field";
  if (last === "") return "start";
  return last === "|" ? "stage" : "after";
}
