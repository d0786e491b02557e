import { expect, test } from "vitest";

import counts from "../testdata/counts.json";
import percentiles from "../testdata/percentiles.json";
import * as promql from "./promql";

test("selectors escape what they are given", () => {
  expect(promql.selector("up")).toBe("up");
  expect(promql.selector("up", { job: 'a"b\\c\nd', other: undefined })).toBe('up{job="a\\"b\\\\c\\nd"}');
  expect(promql.selector("up", { job: ["a.b", "c|d"] })).toBe('up{job=~"a\\\\.b|c\\\\|d"}');
  expect(promql.escapeRegexp("a^$.*+?()[]{}|\\b")).toBe("a\\^\\$\\.\\*\\+\\?\\(\\)\\[\\]\\{\\}\\|\\\\b");
});

test("the edges of the service graph are asked as Grafana asks them", () => {
  expect(promql.edgeRate(3600)).toBe("sum by (client, server, connection_type) (increase(traces_service_graph_request_total[3600s])) / scalar(max(increase(etude_generator_observed_seconds_total[3600s])) > 0 or vector(3600))");
  expect(promql.edgeQuantile(0.95, 60)).toBe(
    "(histogram_quantile(0.95, sum by (client, server, connection_type) (rate(traces_service_graph_request_server_seconds[60s])))" +
      " or histogram_quantile(0.95, sum by (client, server, connection_type, le) (rate(traces_service_graph_request_server_seconds_bucket[60s]))))",
  );
});

test("a service is measured where it is entered, and as a whole where it is not", () => {
  const count = promql.serviceCount(60, 'x"y');
  expect(count).toBe(
    'sum by (service) (increase(traces_spanmetrics_calls_total{service="x\\"y",span_kind=~"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER"}[60s] anchored))' +
      ' or sum by (service) (increase(traces_spanmetrics_calls_total{service="x\\"y"}[60s] anchored))',
  );
  expect(promql.serviceErrors(60)).toContain('status_code="STATUS_CODE_ERROR"');
  expect(promql.serviceBuckets(0.2, "a")).toContain("[1s] anchored");
});

test.each([
  [300, 120, 15],
  [3601, 60, 60],
  [3600, 120, 30],
  [86_400, 120, 900],
  [1e9, 100, 86_400],
])("%d seconds at %d points step by %d", (width, points, want) => {
  expect(promql.chartStep(width, points)).toBe(want);
});

test("the window of a rate holds at least four samples", () => {
  expect(promql.rateWindow(15)).toBe(60);
  expect(promql.rateWindow(120)).toBe(135);
});

test("what an expression selects, and its unit", () => {
  expect(promql.selectors('sum(rate(a_bucket{x="b_total"}[5m])) # c')).toEqual(["sum", "rate", "a_bucket", "x", "m"]);
  expect(promql.expressionUnit("histogram_quantile(0.9, rate(traces_spanmetrics_latency_bucket[1m]))")).toBe("seconds");
  expect(promql.expressionUnit("process_resident_memory_bytes")).toBe("bytes");
  expect(promql.expressionUnit("rate(process_cpu_seconds_total[1m])")).toBe("number");
  expect(promql.expressionUnit("up")).toBe("number");
});

// The backend's tests ask these queries of a real Prometheus, which knows how far they are from the truth.
test("the queries for percentiles are those that the backend is tested with", () => {
  expect({
    services: promql.serviceQuantile(0.95, 300, "shop"),
    operations: promql.spanQuantile(0.95, "shop", 300),
    "service graph": promql.edgeQuantile(0.95, 300),
  }).toEqual(percentiles);
});

test("the queries for counts are those that the backend is tested with", () => {
  expect({
    services: promql.serviceCount(3600),
    errors: promql.serviceErrors(3600),
    operations: promql.spanCount("shop", 3600),
    "service graph": promql.edgeCount(3600),
    buckets: promql.serviceBuckets(15, "shop"),
    overflow: promql.overflow(3600),
  }).toEqual(counts);
});
