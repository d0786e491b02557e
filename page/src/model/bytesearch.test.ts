import { expect, test } from "vitest";
import { random, span } from "../testdata/traces";
import { searchOf } from "./bytesearch";
import { encodeSpans } from "./encode";
import { ByteStore, indexSpans } from "./otlpbytes";
import { buildTrace } from "./spans";
import { arrange, type SpanData, type Trace } from "./trace";
import { type Attribute, Bytes, formatValue, type Value } from "./value";

const next = random(11);
const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
const words = ["GET", "/cart", "größe", "ÜBER", "Привет", "日本", "a=b", "=", "", "true", "12", "7", "ΟΔΟΙ", "line\nbreak", "x".repeat(300), "straße"];
const scalars: Value[] = [0n, 12n, -712n, 1.5, 1e21, NaN, true, false];
const nested: Value[] = [null, ["GET", 12n, ["ÜBER"]], new Map<string, Value>([["key", "größe"]]), new Bytes("AAEC")];

function attribute(): Attribute {
  return { key: pick(["http.method", "größe", "n", "k".repeat(130), ""]), value: next() < 0.5 ? pick(words) + pick(words) : pick(next() < 0.6 ? scalars : nested) };
}
const some = <T>(make: () => T, most: number): T[] => Array.from({ length: Math.floor(next() * (most + 1)) }, make);
const resources = ["shop", "Größe"].map((service) => ({ service, attributes: [{ key: "service.name", value: service }, ...some(attribute, 2)] }));
const scopes = ["", "io.GET"].map((name) => ({ name, version: "", attributes: some(attribute, 1) }));

function anySpan(i: number): SpanData {
  return span({
    spanId: (i + 1).toString(16).padStart(16, "0"), name: "n", start: 1n, end: 2n, resource: pick(resources), scope: pick(scopes),
    attributes: some(attribute, 4), statusMessage: next() < 0.2 ? pick(words) : "",
    events: next() < 0.3 ? some(() => ({ time: 1n, name: pick(words), attributes: some(attribute, 2) }), 2) : [],
    links: next() < 0.2 ? [{ traceId: `12${"0".repeat(29)}f`, spanId: "000000000000000a", attributes: some(attribute, 2) }] : [],
  });
}

/** The slow way: every text of a span. */
function texts(s: SpanData): string[] {
  const pairs = [...s.attributes, ...s.resource.attributes, ...s.scope.attributes, { key: "name", value: s.scope.name }, ...s.events.flatMap((e) => e.attributes), ...s.links.flatMap((l) => l.attributes)];
  return [...pairs.filter((a) => a.key !== "name" || a.value !== "").map((a) => `${a.key}=${formatValue(a.value)}`), s.statusMessage, ...s.events.map((e) => e.name), ...s.links.map((l) => l.traceId)].map((t) => t.toLowerCase());
}

const spans = Array.from({ length: 200 }, (_, i) => anySpan(i));
const bytes = encodeSpans("ab", spans);
const { raw, places } = indexSpans(bytes);
const packed: Trace = { ...arrange("ab", raw), store: new ByteStore(bytes, places) };
const traces = [["bytes", packed], ["a file", buildTrace("ab", spans)]] as const;

test.each(traces)("a word is found where the slow way finds it, in a trace out of %s", (_, trace) => {
  const search = searchOf(trace);
  const all = Array.from({ length: trace.length }, (_, i) => texts(trace.store.at(i)));
  const flat = all.flat();
  const tried = new Set<string>();
  for (let round = 0; round < 1500; round++) {
    const text = pick(flat);
    const from = Math.floor(next() * text.length);
    const needle = [...text.slice(from, from + 1 + Math.floor(next() * 9))].join("");
    if (needle === "" || tried.has(needle)) continue;
    tried.add(needle);
    expect([...search.word(needle)].map((m, i) => (m ? i : "")).join(" "), JSON.stringify(needle)).toBe(all.map((list, i) => (list.some((t) => t.includes(needle)) ? i : "")).join(" "));
  }
  expect(tried.size).toBeGreaterThan(300);
  expect(search.word("no span has this")).not.toContain(1);
});

test.each(traces)("an attribute is found where the slow way finds it, in a trace out of %s", (_, trace) => {
  const search = searchOf(trace);
  const holds = (v: Value): boolean => formatValue(v).length % 2 === 1;
  for (const key of ["http.method", "größe", "n", "k".repeat(130), "", "service.name", "name", "traceId", "statusMessage", "none"]) {
    for (const scope of ["span", "event", "link", "resource", "instrumentation", undefined] as const) {
      const want = Array.from({ length: trace.length }, (_, i) => {
        const s = trace.store.at(i);
        const by = {
          span: [...s.attributes, ...(s.statusMessage === "" ? [] : [{ key: "statusMessage", value: s.statusMessage }])],
          event: s.events.flatMap((e) => [{ key: "name", value: e.name }, ...e.attributes]),
          link: s.links.flatMap((l) => [{ key: "traceId", value: l.traceId }, ...l.attributes]),
          resource: s.resource.attributes,
          instrumentation: [...(s.scope.name === "" ? [] : [{ key: "name", value: s.scope.name }]), ...s.scope.attributes],
        };
        return (scope ? by[scope] : Object.values(by).flat()).some((a) => a.key === key && holds(a.value)) ? 1 : 0;
      });
      expect([...search.attribute(scope, key, holds)].join(""), `${scope} ${key}`).toBe(want.join(""));
    }
  }
});

test("a search in steps finds the same", () => {
  const search = searchOf(packed);
  while (!search.prepare(7));
  expect(search.word("12")).toEqual(searchOf(packed).word("12"));
});
