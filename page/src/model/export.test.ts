import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { random, randomTrace, span } from "../testdata/traces";
import { spansOf, toJaegerJson, toOtlpJson } from "./export";
import { parseText } from "./otlp";
import { buildTrace } from "./spans";
import { nameOf, serviceOf, spanAt, type Trace } from "./trace";
import { Bytes } from "./value";

const seven = parseText(readFileSync(new URL("testdata/uservice3.json", import.meta.url), "utf8"))[0]!;

test("OTLP JSON reads back byte for byte", () => {
  const odd = span({
    spanId: "00000000000000ab", name: "é\n\u202e", kind: "client", start: 1795448520000000001n, end: 1795448520000000002n, traceState: "a=b", statusCode: "error", statusMessage: "m",
    attributes: [{ key: "i", value: 2n ** 60n }, { key: "d", value: 1 }, { key: "nan", value: NaN }, { key: "l", value: [1n, [true], new Map([["k", null]])] }, { key: "b", value: new Bytes("AAEC") }, { key: "", value: "" }],
    events: [{ time: 5n, name: "e", attributes: [{ key: "x", value: false }] }], links: [{ traceId: "ab".padStart(32, "0"), spanId: "cd".padStart(16, "0"), attributes: [] }],
  });
  const traces: Trace[] = [seven, buildTrace("1".padStart(32, "0"), [odd]), ...Array.from({ length: 30 }, (_, i) => randomTrace(random(i + 1)))];
  for (const trace of traces) {
    const once = toOtlpJson(trace);
    expect(toOtlpJson(parseText(once)[0]!)).toBe(once);
  }
});

function tree(t: Trace): string[] {
  return Array.from(t.order, (_, i) => `${t.depths[i]} ${serviceOf(t, i)} ${nameOf(t, i)} ${spanAt(t, i).statusCode} ${Math.floor(t.durations[i]! / 1000)}`);
}

test("Jaeger JSON reads back as the same trace, in microseconds", () => {
  const again = parseText(toJaegerJson(seven))[0]!;
  expect(again.id).toBe(seven.id);
  expect(tree(again).map((l) => l.replace(/\d+$/, ""))).toEqual(tree(seven).map((l) => l.replace(/\d+$/, "")));
  const [a, b] = [spansOf(again), spansOf(seven)];
  a.forEach((s, i) => {
    expect(Number(b[i]!.start - s.start)).toBeLessThan(1000);
    expect([s.kind, s.statusMessage, s.scope.name, s.events.map((e) => e.name), s.parentId]).toEqual([b[i]!.kind, b[i]!.statusMessage, b[i]!.scope.name, b[i]!.events.map((e) => e.name), b[i]!.parentId]);
    for (const attribute of b[i]!.attributes) expect(s.attributes).toContainEqual(attribute);
  });
  expect(toJaegerJson(again)).toBe(toJaegerJson(parseText(toJaegerJson(again))[0]!));
});

test("Zipkin JSON", () => {
  const zipkin = [
    { traceId: "0a", id: "01", name: "get /", kind: "SERVER", timestamp: 1795448520000000, duration: 1500.5, localEndpoint: { serviceName: "front" }, tags: { "http.path": "/" }, annotations: [{ timestamp: 1795448520000100, value: "ws" }] },
    { traceId: "0a", id: "02", parentId: "01", name: "query", kind: "CLIENT", timestamp: 1795448520000200, duration: 300, localEndpoint: { serviceName: "front" }, remoteEndpoint: { serviceName: "mysql" }, tags: { error: "timeout" } },
  ];
  for (const json of [zipkin, [zipkin]]) {
    const t = parseText(JSON.stringify(json))[0]!;
    expect(tree(t)).toEqual(["0 front get / unset 1500", "1 front query error 300"]);
    expect(spanAt(t, 1)).toMatchObject({ kind: "client", statusMessage: "timeout" });
    expect(spanAt(t, 1).attributes).toContainEqual({ key: "peer.service", value: "mysql" });
    expect(t.durations[0]).toBe(1_500_500);
  }
});

test.each([
  ['{"data":[{"spans":[{"traceID":"zz","spanID":"1","operationName":"x"}],"processes":{}}]}', '"zz" is not an id'],
  ['{"data":[{"spans":[{"traceID":"1","spanID":"1","operationName":"x","startTime":"soon"}],"processes":{}}]}', 'span "x": startTime is not a time'],
  ['[{"traceId":"1","id":"1","name":"x","duration":-1}]', 'span "x": duration is not a time'],
])("%s is refused", (text, want) => {
  expect(() => parseText(text)).toThrow(want);
});
