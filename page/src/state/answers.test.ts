import { expect, test } from "vitest";
import { answered, jsonOf, refusal, refuseWebPage } from "./answers";

const page = { headers: { "Content-Type": "text/html; charset=utf-8" } };

test.each([
  [new Response("too many queries, try again in 2 s\n", { status: 429 }), "too many queries, try again in 2 s"],
  [new Response("<html><h1>502</h1></html>", { status: 502, statusText: "Bad Gateway", ...page }), "The backend answered 502 Bad Gateway"],
  [new Response("<!doctype html>", { status: 503, headers: { "Content-Type": "text/plain" } }), "The backend answered 503"],
  [new Response("", { status: 503, statusText: "Service Unavailable" }), "The backend answered 503 Service Unavailable"],
])("a refusal in words", async (response, want) => {
  expect(await refusal(response)).toBe(want);
});

test("a long refusal is cut", async () => {
  expect((await refusal(new Response("x".repeat(5000), { status: 400 }))).length).toBe(601);
});

test("a web page or half an answer is no data", async () => {
  await expect(jsonOf(new Response("<p>sign in</p>", page))).rejects.toThrow("A web page came");
  await expect(jsonOf(new Response('{"traces":['))).rejects.toThrow("not JSON, or it was cut off");
  expect(await jsonOf(new Response('{"a":1}'))).toEqual({ a: 1 });
  expect(() => refuseWebPage(new Response("", page))).toThrow("A web page came");
  expect(() => refuseWebPage(new Response(""))).not.toThrow();
});

test("no answer, a refusal and a stop are told apart", async () => {
  await expect(answered(() => Promise.reject(new TypeError("Failed to fetch")))).rejects.toThrow("The backend does not answer");
  await expect(answered(() => Promise.resolve(new Response("later", { status: 429 })))).rejects.toThrow("later");
  expect((await answered(() => Promise.resolve(new Response("", { status: 404 })))).status).toBe(404);
  const stop = new AbortController();
  stop.abort();
  await expect(answered(() => fetch("http://127.0.0.1:1/", { signal: stop.signal }), stop.signal)).rejects.toThrow(/abort/i);
});
