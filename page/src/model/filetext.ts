// The text in a file that a reader chose, which may be anything.

/** Throws an Error that says what the file is and what to do, where it is no text. Gzip is unpacked. */
export async function textOf(file: Blob): Promise<string> {
  const head = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  if (file.size === 0) throw new Error("the file is empty");
  if (head[0] === 0x1f && head[1] === 0x8b) return unpacked(file);
  if (head[0] === 0x50 && head[1] === 0x4b) throw new Error("it is a ZIP archive: unpack it, and choose the JSON file inside");
  const text = await file.text();
  if (text.slice(0, 1000).includes("\u0000")) throw new Error("it is no text: choose a JSON file of OTLP, Jaeger, Tempo or Zipkin");
  return text;
}

async function unpacked(file: Blob): Promise<string> {
  try {
    return await new Response(file.stream().pipeThrough(new DecompressionStream("gzip"))).text();
  } catch {
    throw new Error("it is a damaged gzip file, which does not unpack to its end");
  }
}
