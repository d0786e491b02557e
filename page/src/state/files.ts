// Traces in and out of files. Everything happens in this page: nothing is sent anywhere.

import { encodeSpans } from "../model/encode";
import { spansOf, toJaegerJson, toOtlpJson } from "../model/export";
import { textOf } from "../model/filetext";
import { parseText } from "../model/otlp";
import { base64 } from "../model/otlpbytes";
import { visible } from "../model/text";
import { titleOf, type Trace } from "../model/trace";
import { opened } from "./opened.svelte";
import { route } from "./route.svelte";
import { save } from "./save";
import { exploreHref } from "./url";

/** Reads a file and opens its largest trace; mistakes of the file are shown where files are chosen. */
export async function openFile(file: File): Promise<void> {
  opened.fileName = file.name;
  opened.fileError = "";
  try {
    const traces = parseText(await textOf(file));
    if (traces.length === 0) throw new Error("it holds no spans");
    opened.files = traces;
    route.go(exploreHref({ ...route.explore, tab: "json", trace: traces[0]!.id, span: "" }));
  } catch (err) {
    opened.files = [];
    opened.fileError = (err as Error).message;
    route.go(exploreHref({ ...route.explore, tab: "json", trace: "", span: "" }));
  }
}

export function saveOtlp(trace: Trace): void {
  save(`trace-${trace.id}.json`, "application/json", toOtlpJson(trace));
}

export function saveJaeger(trace: Trace): void {
  save(`trace-${trace.id}-jaeger.json`, "application/json", toJaegerJson(trace));
}

/** One HTML file with the trace and all that shows it. It opens without a server and asks for nothing. */
export async function saveShared(trace: Trace): Promise<void> {
  const [script, style] = await Promise.all(["/shared.js", "/shared.css"].map(asset));
  save(`trace-${trace.id}.html`, "text/html", await sharedPage(trace, script!, style!));
}

async function asset(path: string): Promise<string> {
  const response = await fetch(path).catch(() => {
    throw new Error("The backend does not answer. Is etude still running?");
  });
  if (!response.ok) throw new Error(`${path} did not load: ${response.status}`);
  return response.text();
}

async function sharedPage(trace: Trace, script: string, style: string): Promise<string> {
  const packed = await gzip(encodeSpans(trace.id, spansOf(trace)));
  const policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(visible(titleOf(trace)))}</title>
<style>${style.replaceAll("</", "<\\/")}</style>
</head>
<body>
<div id="app"></div>
<noscript>This page draws a trace with JavaScript.</noscript>
<script type="text/plain" id="trace" data-trace-id="${escaped(trace.id)}">${base64(packed)}</script>
<script>${script.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--")}</script>
</body>
</html>
`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

async function gzip(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
