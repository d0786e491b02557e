import { expect, test } from "vitest";
import { bars, count, health, latency, notices, rate, type RawData, routersOf, ruleParts, servicesOf, splitName, type Stats, type Traffic, uptime, webOf } from "./edge";

const none = { p50: 0, p90: 0, p99: 0, max: 0 };
const quiet: Traffic = { requests: 0, inFlight: 0, statusClasses: {}, latencyMs: none, lastMinute: { requests: 0, errors: 0, latencyMs: none, requestsPerSecond: [], errorsPerSecond: [] } };

test("routers come in the order in which the edge tries them", () => {
  const router = (name: string, priority: number) => ({ name, priority, rule: "", service: "s", status: "enabled" });
  const raw: RawData = {
    routers: { b: router("b@file", 5), a: router("a@file", 5), c: router("c@file", 9) },
    services: { y: { name: "y@file", loadBalancer: { servers: [] }, serverStatus: {} }, x: { name: "x@file", loadBalancer: { servers: [] }, serverStatus: {} } },
  };
  expect(routersOf(raw).map((r) => r.name)).toEqual(["c@file", "a@file", "b@file"]);
  expect(servicesOf(raw).map((s) => s.name)).toEqual(["x@file", "y@file"]);
});

test("latencies are those of the last minute, or of all time when that was quiet", () => {
  const all = { ...quiet, latencyMs: { p50: 1500, p90: 2000, p99: 3000, max: 3000 } };
  expect([latency(quiet, "p50"), latency(undefined, "p50"), latency(all, "p50")]).toEqual(["–", "–", "1.5 s"]);
  expect(latency({ ...all, lastMinute: { ...quiet.lastMinute, latencyMs: { p50: 0.25, p90: 1, p99: 2, max: 2 } } }, "p50")).toBe("250 µs");
});

test("the rate leaves out the second under way and those before the start", () => {
  const requestsPerSecond = [...Array.from({ length: 54 }, () => 0), 1, 2, 3, 4, 5, 100];
  const busy = { ...quiet, lastMinute: { ...quiet.lastMinute, requestsPerSecond } };
  expect([rate(busy, 3600), rate(busy, 2.9), rate(busy, 0.2), rate(quiet, 10)]).toEqual([3, 4.5, 5, 0]);
});

test.each([[0.9, "0 s"], [62, "1 min 2 s"], [3700, "1 h 1 min"], [100_000, "1 d 3 h"]])("up for %d seconds", (seconds, want) => {
  expect(uptime(seconds)).toBe(want);
});

test.each([
  [[], "no servers", "bad"],
  [["UP"], "healthy", "good"],
  [["UP", "UP"], "2 healthy", "good"],
  [["UP", "DOWN"], "1 of 2 healthy", "warn"],
  [["DOWN"], "0 of 1 healthy", "bad"],
])("servers that are %s", (states, text, kind) => {
  const servers = states.map((_, i) => ({ url: `http://${i}` }));
  expect(health({ name: "s", loadBalancer: { servers }, serverStatus: Object.fromEntries(states.map((s, i) => [`http://${i}`, s])) })).toEqual({ text, kind });
});

test("notices name what is wrong, the worst first", () => {
  const stats = { config: { reloads: 0, warnings: [] }, tracing: { exporter: "none", queued: 0, sent: 0, dropped: 0, refused: 0 } } as unknown as Stats;
  expect(notices(stats)).toEqual([]);
  const ill = { ...stats, config: { reloads: 1, lastError: "line 4", warnings: ["tcp", "udp"] }, tracing: { ...stats.tracing, lastError: "refused" } };
  expect(notices(ill).map((n) => [n.kind, n.text])).toEqual([["bad", "line 4"], ["warn", "tcp\nudp"], ["warn", "refused"]]);
});

test("hosts and paths of a rule are links to the entry point", () => {
  const web = webOf([{ name: "web", address: "127.0.0.1:8000" }], "localhost");
  expect(web).toEqual({ host: "localhost", suffix: ":8000" });
  expect([webOf([], "h").suffix, webOf([{ name: "web", address: "[::]:80" }], "h").suffix]).toEqual(["", ""]);
  const rule = 'Host(`a.localhost`) && PathPrefix("/x") || Headers(`Host`, `b`)';
  expect(ruleParts(rule, web).filter((p) => p.href).map((p) => p.href)).toEqual(["http://a.localhost:8000/", "http://localhost:8000/x"]);
  for (const odd of [rule, "", "Host(`javascript:alert(1)`)", "Host(`a@evil`)", "PathPrefix(`//evil`)x`", '"`"', "Path(`a`)", "é`", '"'])
    expect(ruleParts(odd, web).map((p) => p.text).join("")).toBe(odd);
  expect(ruleParts("Host(`javascript:alert(1)`, `a@evil`) Path(`a`)", web).some((p) => p.href)).toBe(false);
  expect(ruleParts("PathPrefix(`//evil`)", web).find((p) => p.href)?.href).toBe("http://localhost:8000//evil");
});

test("names, counts and bars", () => {
  expect([splitName("a@b@file"), splitName("a")]).toEqual([["a@b", "@file"], ["a", ""]]);
  expect([count(99_999), count(1_234_567)]).toEqual(["99,999", "1.23M"]);
  expect(bars([0, 1, 2], 2)).toBe("M1.12 30v-14.5h.76V30zM2.12 30v-29h.76V30z");
  expect(bars([0, 0], 0)).toBe("");
});
