// A trace out of decoded spans: the way of files, of small answers and of tests. Large answers come by otlpbytes.ts.

import { arrange, hexToWords, kinds, type RawSpans, type SpanData, statusCodes, type Trace } from "./trace";
import type { Hex } from "./units";
import type { Attribute } from "./value";

export function buildTrace(id: Hex, spans: SpanData[]): Trace {
  return { ...arrange(id, columnsOf(spans)), store: { at: (i) => spans[i]! } };
}

export function columnsOf(spans: SpanData[]): RawSpans {
  const n = spans.length;
  const base = spans.reduce((least, s) => (s.start !== 0n && (least === 0n || s.start < least) ? s.start : least), 0n);
  const [names, services] = [new Numbers(), new Numbers()];
  const raw: RawSpans = {
    length: n,
    base,
    starts: Float64Array.from(spans, (s) => (s.start === 0n ? NaN : Number(s.start - base))),
    ends: Float64Array.from(spans, (s) => Number(s.end - base)),
    ids: new Uint32Array(2 * n),
    parentIds: new Uint32Array(2 * n),
    names: names.texts,
    nameIds: Int32Array.from(spans, (s) => names.of(s.name)),
    services: services.texts,
    serviceIds: Int32Array.from(spans, (s) => services.of(s.resource.service)),
    kinds: Uint8Array.from(spans, (s) => kinds.indexOf(s.kind)),
    statuses: Uint8Array.from(spans, (s) => statusCodes.indexOf(s.statusCode)),
    errors: Uint8Array.from(spans, (s) => (s.statusCode === "error" || s.attributes.some(saysError) ? 1 : 0)),
    eventStarts: new Int32Array(n + 1),
    eventTimes: Float64Array.from(spans.flatMap((s) => s.events), (e) => Number(e.time - base)),
  };
  spans.forEach((span, i) => {
    raw.ids.set(hexToWords(span.spanId), 2 * i);
    raw.parentIds.set(hexToWords(span.parentId), 2 * i);
    raw.eventStarts[i + 1] = raw.eventStarts[i]! + span.events.length;
  });
  return raw;
}

/** The old way to say that a span failed. */
function saysError(a: Attribute): boolean {
  return a.key === "error" && (a.value === true || a.value === "true");
}

class Numbers {
  readonly texts: string[] = [];
  #known = new Map<string, number>();

  of(text: string): number {
    const known = this.#known.get(text);
    if (known !== undefined) return known;
    const made = this.texts.push(text) - 1;
    this.#known.set(text, made);
    return made;
  }
}
