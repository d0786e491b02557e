import { describe, expect, it } from "vitest";
import { parseTraces } from "./otlp";
import fixture from "./testdata/uservice3.json";
import { nameOf } from "./trace";
import { headerOf, hopsOf, type Line, numbered, requestsOf, traceOf, xrayOf } from "./walk";
import { ghostsOf, judge, judgeDark, slowestOf } from "./walkanswer";

/** "ms part text", one a line. */
function lines(text: string): Line[] {
  return text
    .trim()
    .split("\n")
    .map((l, n) => {
      const [, ms, part, rest] = /^(\d+) (\w+) (.*)$/.exec(l.trim())!;
      return { n, us: Number(ms) * 1000, part: part!, text: rest! };
    });
}

const traced = lines(`
  1 uservice3 Request: {
  1 uservice3     "traceparent": "00-00000000000000000789b91307dd4554-d8e5fe2da51f26a4-01",
  1 uservice3     "uber-trace-id": "0789b91307dd4554:d8e5fe2da51f26a4:0789b91307dd4554:1",
  1 uservice3     "x-request-id": "walk-1"
  1 uservice3 }
  9 uservice4 Request: {
  9 uservice4     "uber-trace-id": "00000000000000000000000000000abc:72b952e4a0654b5a:0:1",
  9 uservice4 }
  137 uservice3 Calling http://127.0.0.1:8084/
  138 uservice4 Request: {
  138 uservice4     "host": "a \\"quoted\\" host",
  138 uservice4     "uber-trace-id": "00000000000000000789b91307dd4554:72b952e4a0654b5a:0:1",
  138 uservice4 }
  1907 uservice3 Got response!
  1907 uservice3 Status: 200 OK
  1907 uservice3 Body: <!DOCTYPE html>
  1907 uservice3 <html lang="en">
  1907 uservice3 </html>
  1940 uservice3 Listening on 127.0.0.1:8083
  1950 uservice3 Request: {
  1950 uservice3 }
  1960 uservice3 Calling again
`);

const dark = lines(`
  1 uservice1 Request: {
  1 uservice1     "uber-trace-id": "0789b91307dd4554:d8e5fe2da51f26a4:0789b91307dd4554:1",
  1 uservice1     "x-request-id": "walk-2",
  1 uservice1 }
  151 uservice1 Calling http://127.0.0.1:8082/
  152 uservice2 Request: {
  152 uservice2     "host": "127.0.0.1:8082",
  152 uservice2 }
  1700 uservice1 Got response!
  1700 uservice1 Status: 200 OK
`);

describe("the way of a request", () => {
  it("is read from the printed headers, with and without a comma", () => {
    const [first, other, second] = requestsOf(traced);
    expect(first!.headers.map((h) => h.name)).toEqual(["traceparent", "uber-trace-id", "x-request-id"]);
    expect(headerOf(second, "host")).toBe('a "quoted" host');
    expect(traceOf(first)).toBe("789b91307dd4554");
    expect(traceOf(other)).toBe("abc");
  });

  it("goes on by the id of the trace, past a request of another", () => {
    const [one, two] = hopsOf(traced, "walk-1", "uservice3", "uservice4");
    expect(one.calling).toBe(137_000);
    expect(one.answered).toBe(1_907_000);
    expect([two.by, two.request?.us]).toEqual(["trace id", 138_000]);
    expect(one.lines.map((l) => l.text)).toEqual(["Calling http://127.0.0.1:8084/", "Got response!", "Status: 200 OK", "Body: (the page)"]);
  });

  it("is a guess where no id is passed on", () => {
    const [one, two] = hopsOf(dark, "walk-2", "uservice1", "uservice2");
    expect([one.by, two.by, two.request?.us]).toEqual(["request id", "time", 152_000]);
  });

  it("is that of a replica as well", () => {
    const replica = traced.map((l) => ({ ...l, part: l.part === "uservice3" ? "uservice3b" : l.part }));
    const [one, two] = hopsOf(replica, "walk-1", "uservice3", "uservice4");
    expect([one.calling, one.lines.length, two.by]).toEqual([137_000, 4, "trace id"]);
  });

  it("is unknown before a line of it came, and for another id", () => {
    expect(hopsOf([], "walk-1", "uservice3", "uservice4").map((h) => h.request)).toEqual([undefined, undefined]);
    expect(hopsOf(traced, "walk-9", "uservice3", "uservice4")[0].request).toBeUndefined();
    expect(hopsOf(traced.slice(0, 3), "walk-1", "uservice3", "uservice4")[0].request).toBeUndefined();
  });
});

describe("the X-ray", () => {
  it("names the fields and finds equal ids, however they are padded", () => {
    const [one, two] = hopsOf(traced, "walk-1", "uservice3", "uservice4");
    const rays = [...xrayOf(one.request), ...xrayOf(two.request)];
    expect(rays.map((x) => x.header)).toEqual(["traceparent", "uber-trace-id", "uber-trace-id"]);
    expect(rays[0]!.fields.map((f) => f.what)).toEqual(["version", "trace", "span", "flags"]);
    expect(rays[2]!.fields[0]).toEqual({ what: "trace", zeros: "0000000000000000", text: "0789b91307dd4554", id: "789b91307dd4554" });
    expect(rays[2]!.fields[2]!.id).toBe("");
    const numbers = numbered(rays);
    expect([...numbers.keys()]).toEqual(["789b91307dd4554", "d8e5fe2da51f26a4", "72b952e4a0654b5a"]);
    expect(rays.map((x) => numbers.get(x.fields.find((f) => f.what === "trace")!.id))).toEqual([0, 0, 0]);
  });
});

describe("the verdict", () => {
  const trace = parseTraces(fixture)[0]!;
  it("is right for the span with the greatest own time only", () => {
    const slowest = slowestOf(trace);
    expect(nameOf(trace, slowest)).toBe("database_call");
    const verdicts = Array.from({ length: trace.length }, (_, i) => judge(trace, i));
    expect(verdicts.filter((v) => v.right)).toHaveLength(1);
    expect(verdicts[slowest]!.text).toMatch(/^Yes\. uservice4 database_call spent .+ itself, \d+ % of the whole/);
    expect(verdicts[0]!.text).toContain("waited for the span below it");
  });
  it("is that nothing can be known where there is no span", () => {
    expect(judgeDark(trace, -1).right).toBe(true);
    expect(judgeDark(trace, 0)).toMatchObject({ right: false });
  });
});

describe("ghost spans", () => {
  it("are read from the times of the lines", () => {
    const ghosts = ghostsOf(hopsOf(dark, "walk-2", "uservice1", "uservice2"), 0);
    expect(ghosts.map((g) => [g.name, g.own.to - g.own.from])).toEqual([
      ["handle_incoming_call", 0],
      ["redis_call", 150_000],
      ["other_uservice_call", 1_000],
      ["handle_incoming_call", 0],
      ["database_call", 1_548_000],
    ]);
  });
  it("wait for all lines", () => {
    expect(ghostsOf(hopsOf(dark.slice(0, 8), "walk-2", "uservice1", "uservice2"), 0)).toEqual([]);
  });
});
