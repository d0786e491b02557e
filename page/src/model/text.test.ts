import { expect, test } from "vitest";
import { clamped, formOf, inForm, visible } from "./text";

test("characters that hide or turn a text are named", () => {
  expect(visible("ad\u202emin\u200b\u0000")).toBe("ad⟨U+202E⟩min⟨U+200B⟩⟨U+0000⟩");
  expect(visible("Grüße\n\tمرحبا 🎉")).toBe("Grüße\n\tمرحبا 🎉");
});

test.each([
  ["http.url", "https://example.org/a?b=c", "url"],
  ["http.url", "/cart", "text"],
  ["exception.stacktrace", "java.lang.X\n\tat a.b", "stack"],
  ["db.statement", "SELECT 1", "sql"],
  ["db.statement", "HGETALL cart", "text"],
  ["body", '{"a":1}', "json"],
  ["body", "[1,2]", "json"],
  ["body", "{not json}", "text"],
])("%s %s is %s", (key, text, want) => {
  expect(formOf(key, text)).toBe(want);
});

test("JSON keeps its digits and its strings", () => {
  expect(inForm("json", '{"id":12345678901234567890,"s":"a, {b}: \\"c\\"","e":{},"l":[ ],"n":[1,{"x":null}]}')).toBe(
    '{\n  "id": 12345678901234567890,\n  "s": "a, {b}: \\"c\\"",\n  "e": {},\n  "l": [],\n  "n": [\n    1,\n    {\n      "x": null\n    }\n  ]\n}',
  );
});

test("SQL breaks at its clauses, not inside text", () => {
  expect(inForm("sql", "select a from t where x = 'and from y' and b = 2 order by a limit 3")).toBe("select a\nfrom t\nwhere x = 'and from y'\n  and b = 2\norder by a\nlimit 3");
});

test("long values are cut", () => {
  expect(clamped("short")).toBeUndefined();
  expect(clamped("x".repeat(1000))!.length).toBe(400);
  expect(clamped("a\n".repeat(50))!.split("\n").length).toBe(8);
});
