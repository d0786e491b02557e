// A Worker decodes its first trace with a program that the browser has only just read, at a third of its later speed:
// the browser compiles busy parts when they have run for a while. A made-up trace, decoded while nothing is asked, has
// them compiled before the reader's first trace comes.

import { encodeSpans } from "../model/encode";
import type { Resource, SpanData } from "../model/trace";
import type { Attribute } from "../model/value";
import { decode, Matcher, shown } from "./tracework";

const services: Resource[] = ["a", "b", "c"].map((service) => ({ service, attributes: [{ key: "service.name", value: service }] }));
const scope = { name: "", version: "", attributes: [] };

let bytes: Uint8Array<ArrayBuffer> | undefined;

/** Decodes one trace of a thousand spans and filters it, in a few milliseconds. */
export function practise(): void {
  bytes ??= encodeSpans("1", Array.from({ length: 1000 }, (_, i) => madeUp(i)));
  const matcher = new Matcher(shown(decode("1", bytes)).trace);
  for (const filter of ["only 39", "nowhere", "y", '"key 3" = "value 7"', "only 3", '"key 1" > 3']) matcher.match(filter);
}

function madeUp(i: number): SpanData {
  const id = (n: number): string => (n + 1).toString(16).padStart(16, "0");
  const start = BigInt(i) * 1000n;
  const attributes = Array.from({ length: 8 }, (_, a): Attribute => ({ key: `key ${a}`, value: a === 0 ? `only ${i}` : a === 1 ? BigInt(i % 9) : `value ${(i * 7 + a) % 50}` }));
  return { spanId: id(i), parentId: i === 0 ? "" : id(Math.floor((i - 1) / 5)), name: `name ${i % 40}`, kind: "server", start, end: start + 100_000n, traceState: "", statusCode: i % 90 === 9 ? "error" : "unset", statusMessage: "", attributes, events: [], links: [], resource: services[i % 3]!, scope };
}
