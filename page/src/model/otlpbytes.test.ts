import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { distinctColours } from "./colour";
import { encodeSpans } from "./encode";
import { parseText } from "./otlp";
import { ByteStore, indexSpans } from "./otlpbytes";
import { arrange, eventTimesOf, type SpanData, spanAt, type Trace } from "./trace";
import { Bytes, type Value } from "./value";

const seven = parseText(readFileSync(new URL("testdata/uservice3.json", import.meta.url), "utf8"))[0]!;

function spansOf(trace: Trace): SpanData[] {
  return Array.from(trace.order, (source) => trace.store.at(source));
}

function decoded(bytes: Uint8Array<ArrayBuffer>): Trace {
  const { traceId, raw, places } = indexSpans(bytes);
  return { ...arrange(traceId, raw), store: new ByteStore(bytes, places) };
}

test("the demo's trace is the same by protobuf and by JSON", () => {
  const again = decoded(encodeSpans(seven.id, spansOf(seven)));
  expect(again.id).toBe(seven.id);
  for (const column of ["starts", "durations", "selfTimes", "parents", "depths", "errors", "kinds", "statuses"] as const) expect([...again[column]!], column).toEqual([...seven[column]!]);
  expect(spansOf(again)).toEqual(spansOf(seven));
  expect([...eventTimesOf(again, 4)]).toEqual([...eventTimesOf(seven, 4)]);
  expect(eventTimesOf(again, 4).length).toBeGreaterThan(0);
});

test("values of every kind", () => {
  const span = { ...spanAt(seven, 0) };
  span.attributes = [
    { key: "text", value: "é\u202e" }, { key: "int", value: -(2n ** 63n) }, { key: "big", value: 2n ** 53n + 1n }, { key: "double", value: 0.1 }, { key: "yes", value: true }, { key: "no", value: false },
    { key: "list", value: [1n, "a", [true]] }, { key: "map", value: new Map([["k", 1.5]]) }, { key: "bytes", value: new Bytes("AAEC") }, { key: "none", value: null }, { key: "", value: "" },
  ];
  expect(spanAt(decoded(encodeSpans("ab".padStart(32, "0"), [span])), 0).attributes).toEqual(span.attributes);
});

test("equal attributes are one object", () => {
  const t = decoded(encodeSpans(seven.id, [...spansOf(seven), ...spansOf(seven)]));
  expect(t.store.at(0).name).toBe(t.store.at(2).name);
  expect(t.store.at(0).attributes[0]).toBe(t.store.at(2).attributes[0]);
});

test("cut and changed bytes give errors with words, or a trace", () => {
  const whole = encodeSpans(seven.id, spansOf(seven));
  let state = 3;
  const next = (n: number): number => (state = (state * 1103515245 + 12345) & 0x7fffffff) % n;
  for (let round = 0; round < 2000; round++) {
    const bytes = round % 2 === 0 ? whole.slice(0, next(whole.length)) : whole.slice();
    for (let k = 0; k < 3; k++) bytes[next(bytes.length || 1)] = next(256);
    try {
      const t = decoded(bytes);
      for (let i = 0; i < t.length; i++) spanAt(t, i);
    } catch (err) {
      expect((err as Error).message).toMatch(/protobuf|longer than|nested/);
    }
  }
});

test("a value that nests without end is refused", () => {
  const nested = (levels: number): Value => (levels === 0 ? "x" : [nested(levels - 1)]);
  const at = (levels: number): Trace => decoded(encodeSpans("ab", [{ ...spanAt(seven, 0), attributes: [{ key: "deep", value: nested(levels) }] }]));
  expect(spanAt(at(60), 0).attributes[0]!.value).toEqual(nested(60));
  expect(() => spanAt(at(70), 0)).toThrow("nested more than 64 levels deep");
});

test("services of one trace have different colours, in any number", () => {
  for (const theme of ["light", "dark"] as const) {
    const names = Array.from({ length: 60 }, (_, i) => `service-${i}`);
    expect(new Set(distinctColours(names, theme)).size).toBe(60);
    expect(distinctColours(["edge"], theme)).toEqual(distinctColours(["edge", "other"], theme).slice(0, 1));
  }
});
