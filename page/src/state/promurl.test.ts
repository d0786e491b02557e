import { expect, test } from "vitest";
import { type Asked, emptyAsked, endText, endTime, parsePrometheusRoute, queryHref, rangeSeconds } from "./promurl";

function asked(href: string): Asked {
  const url = new URL(href, "http://localhost:9090");
  const route = parsePrometheusRoute(url.pathname, url.search);
  if (route.page !== "query") throw new Error(`${href} is ${route.page}`);
  return route.asked;
}

test.each<Asked>([
  emptyAsked,
  { expression: 'sum by (a) (rate(b{c="d&e"}[5m]))', tab: "graph", range: "6h", end: "2026-11-24 19:05:09" },
])("the address of %o reads as itself", (a) => {
  expect(asked(queryHref(a))).toEqual(a);
});

test("links that Prometheus and its alerts have made before", () => {
  expect(asked("/graph?g0.expr=up&g0.tab=1&g0.range_input=2h")).toEqual({ expression: "up", tab: "table", range: "2h", end: "" });
  expect(asked("/graph?g0.expr=up&g0.tab=0&g0.moment_input=2026-11-24%2019:05:09")).toMatchObject({ tab: "graph", end: "2026-11-24 19:05:09" });
  expect(asked("/query?g0.range_input=nonsense&g0.end_input=yesterday")).toEqual(emptyAsked);
  expect(parsePrometheusRoute("/targets", "")).toEqual({ page: "targets" });
  expect(parsePrometheusRoute("/nowhere", "")).toEqual({ page: "missing" });
});

test("lengths and points in time", () => {
  expect([rangeSeconds("90s"), rangeSeconds("1h30m"), rangeSeconds("2w"), rangeSeconds("0s"), rangeSeconds("5"), rangeSeconds("")]).toEqual([90, 5400, 1_209_600, undefined, undefined, undefined]);
  expect(endText(endTime("2026-11-24 19:05:09")!)).toBe("2026-11-24 19:05:09");
  expect(endTime("2026-13-40 99:99")).toBeUndefined();
});
