// Find in trace: which spans contain a text.

import type { SpanData, Trace } from "./trace";
import type { SpanIndex } from "./units";
import { type Attribute, formatValue } from "./value";

/** One searchable text a span, made on first use and kept as long as the trace. */
const haystacks = new WeakMap<SpanData, string>();

/** The rows that contain the text, ignoring case: in name, service, ids, status, attributes ("key=value"), events. */
export function findText(trace: Trace, text: string): SpanIndex[] {
  const needle = text.trim().toLowerCase();
  if (needle === "") return [];
  const found: SpanIndex[] = [];
  trace.spans.forEach((span, i) => {
    if (haystack(span).includes(needle)) found.push(i);
  });
  return found;
}

function haystack(span: SpanData): string {
  const known = haystacks.get(span);
  if (known !== undefined) return known;
  const parts = [span.name, span.resource.service, span.spanId, span.kind, span.statusMessage, span.scope.name];
  for (const list of [span.attributes, span.resource.attributes, span.scope.attributes]) parts.push(...list.map(pair));
  for (const event of span.events) parts.push(event.name, ...event.attributes.map(pair));
  const made = parts.join("\n").toLowerCase();
  haystacks.set(span, made);
  return made;
}

function pair(a: Attribute): string {
  return `${a.key}=${formatValue(a.value)}`;
}
