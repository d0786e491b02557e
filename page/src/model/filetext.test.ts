import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { textOf } from "./filetext";

test("text, and text in gzip", async () => {
  expect(await textOf(new Blob(['{"a":"é"}']))).toBe('{"a":"é"}');
  expect(await textOf(new Blob([gzipSync('{"a":"é"}')]))).toBe('{"a":"é"}');
});

test.each([
  ["nothing", new Uint8Array(0), "empty"],
  ["a ZIP archive", Uint8Array.of(0x50, 0x4b, 3, 4, 20, 0), "ZIP archive: unpack it"],
  ["a cut gzip file", gzipSync("some text that is long enough to be cut").subarray(0, 20), "damaged gzip"],
  ["other bytes", Uint8Array.of(1, 0, 2, 0), "no text"],
])("%s is refused with words", async (_, bytes, want) => {
  await expect(textOf(new Blob([new Uint8Array(bytes)]))).rejects.toThrow(want);
});
