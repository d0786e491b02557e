import { expect, test } from "vitest";
import { span } from "../testdata/traces";
import { narrowed, parseFilter, widened } from "./filter";
import { encodeSpans } from "./encode";
import { spansOf } from "./export";
import { searchOf } from "./bytesearch";
import { match } from "./match";
import { ByteStore, indexSpans } from "./otlpbytes";
import { buildTrace } from "./spans";
import { arrange, nameOf, type Trace } from "./trace";

const edge = { service: "edge", attributes: [{ key: "service.name", value: "edge" }] };
const shop = { service: "shop", attributes: [{ key: "service.name", value: "shop" }, { key: "os.type", value: "linux" }] };
const trace = buildTrace("ab", [
  span({ spanId: "000000000000000a", name: "root", kind: "server", start: 1000n, end: 1_000_001_000n, resource: edge, attributes: [{ key: "http.status_code", value: 500n }, { key: "http.url", value: "/cart?a=b" }] }),
  span({ spanId: "000000000000000b", parentId: "000000000000000a", name: "GET /cart", start: 2000n, end: 900_002_000n, resource: shop, statusCode: "error", statusMessage: "no stock left", attributes: [{ key: "user id", value: "Ada" }] }),
  span({ spanId: "00000000deadbeef", parentId: "000000000000000b", name: "query", start: 3000n, end: 50_003_000n, resource: shop, attributes: [{ key: "db.rows", value: 12.5 }, { key: "list", value: ["a", "b"] }], events: [{ time: 4000n, name: "retry", attributes: [{ key: "attempt", value: 2n }] }] }),
]);
/** The same trace as bytes. */
const bytes = encodeSpans("ab".padStart(32, "0"), spansOf(trace));
const { raw, places } = indexSpans(bytes);
const packed: Trace = { ...arrange("ab", raw), store: new ByteStore(bytes, places) };
const [search, packedSearch] = [searchOf(trace), searchOf(packed)];

function found(t: Trace, of: typeof search, filter: string): string {
  const matches = match(t, of, parseFilter(filter));
  return Array.from(t.order, (source, i) => (matches[source] ? nameOf(t, i) : "")).filter((n) => n !== "").join(",");
}

test.each([
  ["", "root,GET /cart,query"],
  ["{ }", "root,GET /cart,query"],
  ["CART", "root,GET /cart"],
  ['"get /cart"', "GET /cart"],
  ["get stock", "GET /cart"],
  ["deadbeef", "query"],
  ["retry", "query"],
  ["http.status_code=500", "root"],
  ["status=error", "GET /cart"],
  ["service=shop", "GET /cart,query"],
  ["duration>100ms", "root,GET /cart"],
  ["duration <= 50ms", "query"],
  ["own>100ms", "GET /cart"],
  ["own >= 100ms", "root,GET /cart"],
  ["kind = server", "root"],
  ["http.status_code>=500", "root"],
  ["span.http.status_code < 500", ""],
  [".db.rows=12.5", "query"],
  ["db.rows>12", "query"],
  ['resource.os.type="linux"', "GET /cart,query"],
  ["span.os.type=linux", ""],
  ["list=b", "query"],
  ["event.attempt=2", "query"],
  ["event:name=retry", "query"],
  ['name=~"GET.*"', "GET /cart"],
  ["name!~`GET.*`", "root,query"],
  ["http.url != nil", "root"],
  ["http.url = nil", "GET /cart,query"],
  ["os.type != linux", ""],
  ['{ resource.service.name = "shop" && status = error }', "GET /cart"],
  ["!service=shop", "root"],
  ["root || query", "root,query"],
  ["(root || query) service=shop", "query"],
  ["critical=true", "root,GET /cart,query"],
  ["children=0", "query"],
  ['"user id" = Ada', "GET /cart"],
])("%s holds for %s", (filter, want) => {
  expect(found(trace, search, filter), "out of a file").toBe(want);
  expect(found(packed, packedSearch, filter), "out of bytes").toBe(want);
});

test.each([
  ['"open', "does not end"],
  ["(a", "is not closed"],
  ["a)", "closes nothing"],
  ["name=", "a value is expected"],
  ["&& a", "a word or condition is expected"],
  ["a ||", "ends where a word"],
  ['name=~"("', "is not a regular expression"],
])("%s is refused", (filter, want) => {
  expect(() => parseFilter(filter)).toThrow(want);
});

test("terms are added and taken away", () => {
  expect(narrowed("", "status=error")).toBe("status=error");
  expect(narrowed("a", "status=error")).toBe("a status=error");
  expect(narrowed("a || b", "c")).toBe("(a || b) c");
  expect(narrowed("a status=error", "status=error")).toBe("a status=error");
  expect(widened("a status=error b", "status=error")).toBe("a b");
  expect(widened("(a || b) c", "c")).toBe("a || b");
});

test("no text makes the parser fail in another way than by an error with words", () => {
  const alphabet = ['"', "`", "(", ")", "{", "}", "=", "!", "~", "<", ">", "&", "|", " ", "a", "1", "ms", "\\", ".", "nil"];
  let state = 7;
  for (let round = 0; round < 3000; round++) {
    let text = "";
    for (let i = 0; i < 8; i++) text += alphabet[(state = (state * 1103515245 + 12345) & 0x7fffffff) % alphabet.length];
    try {
      match(trace, search, parseFilter(text));
    } catch (err) {
      expect((err as Error).message, text).toMatch(/expected|closed|closes|does not end|regular expression|ends where|length of time/);
    }
  }
});
