import { expect, test } from "vitest";
import { resolveRange, resolveTime } from "./range";
import { durationOf, fullId, nameOf, parseResults, SearchLines, sortResults } from "./search";

const answer = {
  traces: [
    { traceID: "1b", rootServiceName: "edge", rootTraceName: "GET b", startTimeUnixNano: "1795448520000000001", durationMs: 5 },
    {
      traceID: "2A", rootServiceName: "edge", rootTraceName: "GET a", startTimeUnixNano: "1795448520000000002", durationMs: 1500,
      serviceStats: { edge: { spanCount: 2 }, uservice3: { spanCount: 3, errorCount: 1 } },
    },
    { traceID: "3c", startTimeUnixNano: "1795448520000000000" },
  ],
};

test("an answer is read newest first, to the nanosecond", () => {
  const results = parseResults(answer);
  expect(results.map((r) => r.id)).toEqual(["2a", "1b", "3c"]);
  expect(results[0]).toMatchObject({ spanCount: 5, errorCount: 1, duration: 1500, start: 1795448520000000002n });
  expect(results[2]).toMatchObject({ duration: 0, spanCount: 0 });
  expect(results.map(nameOf)).toEqual(["edge GET a", "edge GET b", "(no root span)"]);
});

test("answers without traces", () => {
  expect([parseResults({}), parseResults(null), parseResults({ traces: [] })]).toEqual([[], [], []]);
});

test.each([
  ["start", false, "3c 1b 2a"],
  ["duration", true, "2a 1b 3c"],
  ["name", false, "3c 2a 1b"],
  ["id", true, "3c 2a 1b"],
] as const)("sorted by %s, descending %s", (key, descending, want) => {
  expect(sortResults(parseResults(answer), key, descending).map((r) => r.id).join(" ")).toBe(want);
});

test("ids are padded to the digits that exporters print", () => {
  expect(fullId("771a728620b4bd35")).toBe("0000000000000000771a728620b4bd35");
});

const now = 1_795_448_520_500;

test.each([
  ["now", now],
  ["now-5m", now - 300_000],
  ["now-2d", now - 172_800_000],
  ["1700000000000", 1_700_000_000_000],
  ["2026-11-23T15:42:00Z", 1_795_448_520_000],
  ["now+1h", undefined],
  ["yesterday", undefined],
  ["", undefined],
])("bound %s", (bound, want) => {
  expect(resolveTime(bound, now)).toBe(want);
});

test.each([
  [{ from: "now-1h", to: "now" }, 1_795_444_920, 1_795_448_521],
  [{ from: "now", to: "now-1h" }, 1_795_444_920, 1_795_448_521],
  [{ from: "junk", to: "junk" }, 1_795_444_920, 1_795_448_521],
  [{ from: "1700000000000", to: "1700000000000" }, 1_700_000_000, 1_700_000_001],
])("range %o in whole seconds, never empty", (range, start, end) => {
  expect(resolveRange(range, now)).toEqual({ start, end });
});

test("lines of a search are read whatever their chunks", () => {
  const text = ['{"trace":{"traceID":"1","startTimeUnixNano":"20"}}', '{"progress":{"completedJobs":1,"totalJobs":3,"inspectedTraces":7,"inspectedSpans":70,"reachedUnixNano":"15"}}', '{"later":1}', '{"trace":{"traceID":"2","startTimeUnixNano":"10"}}', '{"end":{}}', ""].join("\n");
  for (const size of [1, 7, 60, text.length]) {
    const lines = new SearchLines();
    for (let at = 0; at < text.length; at += size) {
      expect(lines.ended).toBe(false);
      lines.add(text.slice(at, at + size));
    }
    expect(lines.results.map((r) => r.id)).toEqual(["1", "2"]);
    expect(lines.progress).toEqual({ completedJobs: 1, totalJobs: 3, inspectedTraces: 7, inspectedSpans: 70, reached: 15n });
    expect(lines.ended).toBe(true);
  }
});

test("a search that fails on its way says why, one that is cut off has not ended", () => {
  const lines = new SearchLines();
  lines.add('{"trace":{"traceID":"1"}}\n{"tra');
  expect([lines.results.length, lines.ended]).toEqual([1, false]);
  expect(() => lines.add('ce":{"traceID":"2"}}\n{"error":"out of time"}\n')).toThrow("out of time");
});

test("a duration that was rounded to nothing is no duration of nothing", () => {
  const [long, short] = parseResults({ traces: [{ traceID: "1", startTimeUnixNano: "2", durationMs: 1500 }, { traceID: "2", startTimeUnixNano: "1" }] });
  expect([durationOf(long!), durationOf(short!)]).toEqual(["1.5 s", "<1 ms"]);
});
