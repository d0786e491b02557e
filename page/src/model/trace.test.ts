import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { colourIndex } from "./colour";
import { parseFilter } from "./filter";
import { buildGraph } from "./graph";
import { isTraceId, parseId, pastedTraceId, sameTraceId } from "./ids";
import { searchOf } from "./bytesearch";
import { match } from "./match";
import { parseText, parseTraces } from "./otlp";
import { buildTrace } from "./spans";
import { findSpan, kindOf, nameOf, rootOf, serviceOf, type SpanData, spanAt, spanIdAt, titleOf, type Trace } from "./trace";

/** "id parent start-end", one span a line; "-" is no parent. */
function spans(text: string): SpanData[] {
  return text.trim().split("\n").map((line) => {
    const [id = "", parent = "", times = ""] = line.trim().split(/\s+/);
    const [start = "0", end = "0"] = times.split("-");
    return span({ spanId: hex(id), parentId: parent === "-" ? "" : hex(parent), name: id, start: BigInt(start), end: BigInt(end) });
  });
}

/** A span id out of a short name. */
function hex(name: string): string {
  return [...name].map((c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join("").padStart(16, "0");
}

function span(part: Partial<SpanData>): SpanData {
  const resource = { service: "s", attributes: [] };
  const scope = { name: "", version: "", attributes: [] };
  const blank = { spanId: "", parentId: "", name: "", kind: "internal", start: 0n, end: 0n, traceState: "", statusCode: "unset", statusMessage: "" } as const;
  return { ...blank, attributes: [], events: [], links: [], resource, scope, ...part };
}

/** The tree as text: two dots a level, then name, self time. */
function drawn(t: Trace): string[] {
  return Array.from(t.order, (_, i) => `${"..".repeat(t.depths[i]!)}${nameOf(t, i)}${t.orphans[i] ? "?" : ""} ${t.selfTimes[i]}`);
}

test.each<[string, string, string[]]>([
  ["children in order of start", "c a 30-40\na - 10-50\nb a 20-30", ["a 20", "..b 10", "..c 10"]],
  ["overlapping children count once", "a - 10-110\nb a 20-70\nc a 50-80", ["a 40", "..b 50", "..c 30"]],
  ["a child outside its parent", "a - 100-200\nb a 150-300\nc a 20-50", ["a 50", "..c 30", "..b 150"]],
  ["an orphan is one more root", "b x 20-30\na - 10-50\nc b 21-22", ["a 40", "b? 9", "..c 1"]],
  ["several roots", "a - 10-20\nb - 5-8", ["b 3", "a 10"]],
  ["a span that is its own parent", "a a 1-2", ["a? 1"]],
  ["a cycle is cut at its earliest span", "a b 5-9\nb a 6-8\nc b 7-8\nr - 1-2", ["r 1", "a? 2", "..b 1", "....c 1"]],
  ["one id twice: the first is the parent", "a - 1-9\na - 2-8\nb a 3-4", ["a 7", "..b 1", "a 6"]],
  ["no duration, and an end before the start", "a - 5-5\nb a 7-6", ["a 0", "..b 0"]],
  ["a missing start time is the start of the trace", "a - 10-20\nb a 0-15", ["a 5", "..b 5"]],
])("%s", (_, text, want) => {
  expect(drawn(buildTrace("t", spans(text)))).toEqual(want);
});

test("no spans", () => {
  const t = buildTrace("t", []);
  expect([t.length, t.depth, t.duration, rootOf(t), titleOf(t)]).toEqual([0, 0, 0, -1, "a trace without spans"]);
});

test("nanoseconds past 2^53 stay exact", () => {
  const t = buildTrace("t", spans("a - 1795448520000000001-1795448520000000101\nb a 1795448520000000004-1795448520000000007"));
  expect([...t.starts, ...t.durations]).toEqual([0, 3, 100, 3]);
});

test("10,000 levels", () => {
  const chain = Array.from({ length: 10_000 }, (_, i) => span({ spanId: hex(`s${i}`), parentId: i === 0 ? "" : hex(`s${i - 1}`), start: BigInt(i), end: 20_000n }));
  const t = buildTrace("t", chain.reverse());
  expect([t.depth, t.subtreeEnds[0], t.parents[9999]]).toEqual([10_000, 10_000, 9998]);
});

const seven = readFileSync(new URL("testdata/uservice3.json", import.meta.url), "utf8");

test("the demo's trace: seven spans, three services, depth seven", () => {
  const [t] = parseText(seven);
  expect(t!.id).toBe("0000000000000000771a728620b4bd35");
  expect([t!.length, t!.depth, t!.services.length, t!.errorCount]).toEqual([7, 7, 3, 1]);
  expect(titleOf(t!)).toBe("edge: EntryPoint web uservice3.localhost");
  expect(Array.from(t!.order, (_, i) => `${serviceOf(t!, i)} ${nameOf(t!, i)} ${kindOf(t!, i)}`)).toEqual([
    "edge EntryPoint web uservice3.localhost server",
    "edge forward uservice3@file/uservice3@file client",
    "uservice3 handle_incoming_call server",
    "uservice3 redis_call internal",
    "uservice3 other_uservice_call client",
    "uservice4 handle_incoming_call server",
    "uservice4 database_call internal",
  ]);
  expect(spanAt(t!, 2).events[0]).toMatchObject({ name: "Request decoded!", attributes: [{ key: "happened", value: true }] });
  expect(spanAt(t!, 2).resource.attributes.find((a) => a.key === "process.pid")!.value).toBe(4242n);
});

test("find looks at names, attributes of span and resource, and events", () => {
  const t = parseText(seven)[0]!;
  const search = searchOf(t);
  const rows = (text: string): number[] => {
    const found = match(t, search, parseFilter(text));
    return [...t.order.keys()].filter((row) => found[t.order[row]!]);
  };
  expect(rows("DATABASE")).toEqual([6]);
  expect(rows("os.type=linux")).toEqual([2, 3, 4, 5, 6]);
  expect(rows('"got response"')).toEqual([4]);
  expect(findSpan(t, spanIdAt(t, 3))).toBe(3);
  expect(findSpan(t, "")).toBe(-1);
});

test("the service graph counts calls between services and names silent peers", () => {
  const t = parseText(seven)[0]!;
  const silent = buildTrace("u", [
    span({ spanId: hex("a"), start: 1n, end: 9n, resource: { service: "edge", attributes: [] } }),
    span({ spanId: hex("b"), parentId: hex("a"), kind: "client", start: 2n, end: 8n, statusCode: "error", resource: { service: "edge", attributes: [] }, attributes: [{ key: "http.host", value: "uservice1.localhost" }] }),
  ]);
  const graph = buildGraph([t, silent]);
  expect(graph.nodes.map((n) => `${n.name} ${n.amount} ${n.errorShare} ${n.kind}`)).toEqual([
    "edge 2 0 service",
    "uservice1.localhost 1 1 virtual",
    "uservice3 1 1 service",
    "uservice4 1 0 service",
  ]);
  expect(graph.edges.map((e) => `${e.from}>${e.to} ${e.amount} ${e.kind}`)).toEqual(["edge>uservice1.localhost 1 virtual", "edge>uservice3 1 call", "uservice3>uservice4 1 call"]);
});

test.each([
  ["771a728620b4bd35", 8, "771a728620b4bd35"],
  ["dxpyhiC0vTU=", 8, "771a728620b4bd35"],
  ["AAAAAAAAAAB3GnKGILS9NQ==", 16, "0000000000000000771a728620b4bd35"],
  ["dxpyhiC0vTU=", 16, "0000000000000000771a728620b4bd35"],
  ["ABCDEF0123456789ABCDEF0123456789", 16, "abcdef0123456789abcdef0123456789"],
  ["1f", 16, "0000000000000000000000000000001f"],
  ["0000000000000000", 8, ""],
  ["", 8, ""],
] as const)("id %s of %d bytes is %s", (text, bytes, want) => {
  expect(parseId(text, bytes)).toBe(want);
});

test("ids that are none", () => {
  expect(() => parseId("xyz", 8)).toThrow('"xyz" is not an id of 8 bytes');
  expect(() => parseId(5, 8)).toThrow("must be text");
  expect([isTraceId("1F"), isTraceId(""), isTraceId("g"), isTraceId("1".repeat(33))]).toEqual([true, false, false, false]);
  expect(sameTraceId("00AB", "ab")).toBe(true);
});

test.each([
  ["not json", "this is not JSON"],
  ['{"a":1}\n{"b":', "line 2 is not JSON"],
  ['{"foo":[]}', "holds no trace"],
  ["[]", "holds no trace"],
  ['{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"x","spanId":"!"}]}]}]}', 'span "x": "!" is not an id'],
  ['{"batches":[{"scopeSpans":[{"spans":[{"name":"x","startTimeUnixNano":"soon"}]}]}]}', '"soon" is not a time'],
])("the file %s is refused", (text, want) => {
  expect(() => parseText(text)).toThrow(want);
});

test("shapes of files: one object a line, arrays, batches; several traces", () => {
  const line = (trace: string): string => JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [{ traceId: trace, spanId: "ab", name: "n" }] }] }] });
  expect(parseText(`${line("01")}\n${line("02")}\n`).map((t) => t.id.slice(-2))).toEqual(["01", "02"]);
  expect(parseText(`[${line("01")},${line("01")}]`).map((t) => t.length)).toEqual([2]);
  expect(parseTraces({ trace: {} })).toEqual([]);
  expect(parseTraces({ trace: { batches: [] } })).toEqual([]);
});

test("the demo's services have five different colours", () => {
  expect(new Set(["edge", "uservice1", "uservice2", "uservice3", "uservice4"].map(colourIndex)).size).toBe(5);
});

const pasted = "0af7651916cd43dd8448eb211c80319c";
test.each([
  [` ${pasted.toUpperCase()}\n`, pasted],
  [`trace_id=${pasted}`, pasted],
  [`"traceId": "${pasted}"`, pasted],
  [`TraceID: '${pasted}'`, pasted],
  ["0af76519-16cd-43dd-8448-eb211c80319c", pasted],
  [`00-${pasted}-00f067aa0ba902b7-01`, pasted],
  [`traceparent: 00-${pasted}-00f067aa0ba902b7-01`, pasted],
  ["8448eb211c80319c", "8448eb211c80319c"],
  ["8448eb21", ""],
  [`see ${pasted}`, ""],
  [`span_id=${pasted}`, ""],
  ["", ""],
])("%j is pasted", (text, want) => {
  expect(pastedTraceId(text)).toBe(want);
});
