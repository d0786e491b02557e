// Traces for tests, written as text or drawn at random.

import { buildTrace } from "../model/spans";
import type { SpanData, Trace } from "../model/trace";

/** A span id out of a name of at most eight letters. */
export function idOf(name: string): string {
  return [...name].map((c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join("").padStart(16, "0");
}

export function span(part: Partial<SpanData>): SpanData {
  const resource = { service: "s", attributes: [] };
  const scope = { name: "", version: "", attributes: [] };
  const blank = { spanId: "", parentId: "", name: "", kind: "internal", start: 0n, end: 0n, traceState: "", statusCode: "unset", statusMessage: "" } as const;
  return { ...blank, attributes: [], events: [], links: [], resource, scope, ...part };
}

/** "name parent start-end service error", one span a line; "-" is no parent; the last two may be left out. */
export function spansOf(text: string): SpanData[] {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const resources = new Map<string, SpanData["resource"]>();
  return lines.map((line) => {
    const [name = "", parent = "-", times = "0-0", service = "s", status = ""] = line.trim().split(/\s+/);
    const [start = "0", end = "0"] = times.split("-");
    const resource = resources.get(service) ?? { service, attributes: [{ key: "service.name", value: service }] };
    resources.set(service, resource);
    // Tests count from 0, which OTLP reads as "no time": a second of distance keeps the first span's start.
    const at = (t: string): bigint => BigInt(t) + 1_000_000_000n;
    return span({ spanId: idOf(name), parentId: parent === "-" ? "" : idOf(parent), name, start: at(start), end: at(end), resource, statusCode: status === "error" ? "error" : "unset" });
  });
}

export function traceOf(text: string): Trace {
  return buildTrace("0af7651916cd43dd8448eb211c80319c", spansOf(text));
}

/** A generator with a seed, from 0 to 1. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A tree of up to 40 spans whose times may break out of their parents', with now and then an orphan. */
export function randomTrace(next: () => number): Trace {
  const n = 1 + Math.floor(next() * 40);
  const lines: string[] = [];
  const times: [number, number][] = [];
  for (let i = 0; i < n; i++) {
    const parent = i === 0 ? -1 : Math.floor(next() * i);
    const [low, high] = parent < 0 ? [0, 10_000] : times[parent]!;
    const a = low + Math.floor((next() * 1.2 - 0.1) * (high - low));
    const b = a + Math.floor(next() * (high - low));
    times.push([Math.max(0, a), Math.max(0, b)]);
    const orphan = next() < 0.03 ? "gone" : parent < 0 ? "-" : `n${parent}`;
    lines.push(`n${i} ${orphan} ${times[i]![0]}-${times[i]![1]} svc${Math.floor(next() * 4)}${next() < 0.1 ? " error" : ""}`);
  }
  return traceOf(lines.join("\n"));
}
