import { expect, test } from "vitest";
import { emptyForm } from "../model/query";
import { earlyTrace } from "./early";
import { compareHref, emptyExplore, emptyLook, emptyTime, exploreHref, type Explore, parseRoute, servicesHref, traceHref } from "./url";

function explore(path: string): Explore {
  const url = new URL(path, "http://localhost:3000");
  const route = parseRoute(url.pathname, url.search);
  if (route.page !== "explore" && route.page !== "trace") throw new Error(`${path} is ${route.page}`);
  return route.explore;
}

function left(json: unknown): string {
  return `/explore?orgId=1&left=${encodeURIComponent(JSON.stringify(json))}`;
}

const source = { type: "tempo", uid: "tempo" };

test("the link of the demo's text opens the search form", () => {
  const query = { refId: "A", datasource: source, queryType: "nativeSearch", limit: 20 };
  const got = explore(left({ datasource: "tempo", queries: [query], range: { from: "now-1h", to: "now" } }));
  expect(got).toEqual(emptyExplore);
});

test("a link with a filled form fills ours", () => {
  const query = { queryType: "nativeSearch", serviceName: "uservice3", spanName: "redis_call", search: 'os.type="linux"', minDuration: "100ms", maxDuration: "2s", limit: 5 };
  const got = explore(left({ queries: [query], range: { from: "1700000000000", to: "1700000600000" } }));
  expect(got.form).toEqual({ service: "uservice3", name: "redis_call", tags: 'os.type="linux"', min: "100ms", max: "2s", limit: "5" });
  expect(got.range).toEqual({ from: "1700000000000", to: "1700000600000" });
});

test.each([
  [{ queryType: "traceql", query: "{ status = error }" }, { tab: "traceql", query: "{ status = error }", trace: "" }],
  [{ queryType: "traceId", query: "771a728620b4bd35" }, { tab: "search", query: "", trace: "771a728620b4bd35" }],
  [{ queryType: "traceql", query: " 771A728620B4BD35 " }, { tab: "search", query: "", trace: "771A728620B4BD35" }],
  [{ queryType: "serviceMap" }, { tab: "graph" }],
  [{ queryType: "upload" }, { tab: "json" }],
  [{ query: "{}" }, { tab: "traceql", query: "{}" }],
])("query %o", (query, want) => {
  expect(explore(left({ queries: [query] }))).toMatchObject(want);
});

test("the newer form of the link, with panes", () => {
  const panes = { abc: { datasource: "tempo", queries: [{ queryType: "traceql", query: "{}" }], range: { from: "now-6h", to: "now" } } };
  const got = explore(`/explore?schemaVersion=1&panes=${encodeURIComponent(JSON.stringify(panes))}`);
  expect(got).toMatchObject({ tab: "traceql", query: "{}", range: { from: "now-6h", to: "now" } });
});

test.each(["/explore?left=%7Bnot", "/explore?left=3", '/explore?left={"queries":3,"range":[]}', "/explore?panes=[]", "/explore"])("%s opens the empty form", (path) => {
  expect(explore(path)).toEqual(emptyExplore);
});

test.each<Partial<Explore>>([
  {},
  { tab: "graph" },
  { order: "-duration", show: "spans" },
  { tab: "traceql", query: "{} | rate()", metrics: "instant", refresh: "15s" },
  { tab: "traceql", query: '{ .a = "b&c=d" }', trace: "1f" },
  { form: { ...emptyForm, service: "a b", tags: 'x="y z"', limit: "7" }, range: { from: "now-5m", to: "now" }, trace: "ab", span: "cd" },
  { trace: "ab", look: { view: "table", find: 'status=error && name="a b"', rest: true, zoom: "1-2", folds: "a.b", sort: "-own", group: "name", path: false, skew: false } },
])("the address of %o reads as itself", (part) => {
  expect(explore(exploreHref(part))).toEqual({ ...emptyExplore, ...part });
});

test("other addresses", () => {
  expect(parseRoute("/", "")).toEqual({ page: "home" });
  expect(["/walk", "/walk/", "/walk/traced", "/walk/break"].map((path) => parseRoute(path, ""))).toEqual(["dark", "dark", "traced", "break"].map((step) => ({ page: "walk", step })));
  expect([parseRoute("/labs", ""), parseRoute("/labs/03-a%20b", "")]).toEqual([{ page: "labs", lab: "" }, { page: "labs", lab: "03-a b" }]);
  expect(explore(traceHref("0af7", "12"))).toEqual({ ...emptyExplore, trace: "0af7", span: "12" });
  expect(explore(traceHref("0af7", "", { view: "flame" }))).toEqual({ ...emptyExplore, trace: "0af7", look: { ...emptyLook, view: "flame" } });
  expect(exploreHref({ look: { ...emptyLook, view: "flame" } })).toBe("/explore");
  expect(parseRoute("/nowhere", "")).toEqual({ page: "missing" });
  expect(parseRoute("/walk/nowhere", "")).toEqual({ page: "missing" });
});

test.each(["", "edge", "a/b c?d#é"])("the address of service %j reads as itself", (service) => {
  const time = { range: { from: "now-5m", to: "now" }, refresh: "5s" };
  const url = new URL(servicesHref(service, time), "http://localhost:3000");
  expect(parseRoute(url.pathname, url.search)).toEqual({ page: "services", service, time });
});

test("bytes that are no UTF-8 break no address", () => {
  expect(parseRoute("/services/%E0", "")).toMatchObject({ service: "%E0" });
  expect(parseRoute("/trace/%E0", "")).toMatchObject({ explore: { trace: "%E0" } });
});

test("a refresh that is none is off", () => {
  expect(parseRoute("/services/", "?refresh=1ms")).toEqual({ page: "services", service: "", time: emptyTime });
});

test("a comparison survives its address", () => {
  const compare = { before: "usual", after: "{ a = 1 && b }", range: { from: "now-2h", to: "now" }, refresh: "", beforeRange: { from: "now-4h", to: "now-2h" }, limit: "50" };
  const url = new URL(compareHref(compare), "http://localhost:3000");
  expect(parseRoute(url.pathname, url.search)).toEqual({ page: "compare", compare });
  expect(parseRoute("/compare", "")).toEqual({ page: "compare", compare: { before: "", after: "", ...emptyTime, beforeRange: undefined, limit: "" } });
  expect(compareHref({})).toBe("/compare");
});

test.each([
  ["/trace/abc123", "", "abc123"],
  ["/trace/ABC123", "?span=1", "ABC123"],
  ["/explore", "?tab=traceql&trace=0af7651916cd43dd8448eb211c80319c", "0af7651916cd43dd8448eb211c80319c"],
  ["/explore", "", ""],
  ["/explore", "?trace=no-id", ""],
  ["/trace/no-id", "", ""],
  ["/compare", "?trace=ab", ""],
])("%s%s asks at once for the trace %s, as the page does later", (path, search, want) => {
  expect(earlyTrace(path, search)).toBe(want);
  const route = parseRoute(path, search);
  if (want !== "" && (route.page === "trace" || route.page === "explore")) expect(route.explore.trace).toBe(want);
});
