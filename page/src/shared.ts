// The page inside of a file that opens without a server: one trace that was shared, or all traces of a recording. No
// Worker, the address after the "#".

import { mount } from "svelte";
import { fromBase64 } from "./model/encode";
import { opened } from "./state/opened.svelte";
import { route } from "./state/route.svelte";
import { decode } from "./state/tracework";
import SharedApp from "./view/SharedApp.svelte";
import "./view/app.css";

const carriers = [...document.querySelectorAll<HTMLElement>("script[data-trace-id]")];
const idOf = (carrier: HTMLElement): string => carrier.dataset["traceId"] ?? "";

async function unpack(carrier: HTMLElement): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([fromBase64((carrier.textContent ?? "").trim())]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function choose(id: string): Promise<void> {
  const carrier = carriers.find((c) => idOf(c) === id);
  if (!carrier) return;
  opened.show(decode(id, await unpack(carrier)));
  route.changeShared(id);
}

/** The trace that the address names, if the file has it, or the first. */
function first(): string {
  const named = /^#\/trace\/([^?]*)/.exec(location.hash)?.[1] ?? "";
  return carriers.some((c) => idOf(c) === named) ? named : idOf(carriers[0]!);
}

async function start(): Promise<void> {
  const target = document.getElementById("app")!;
  const report = JSON.parse(document.getElementById("report")?.textContent ?? "[]");
  const traces = carriers.map((c) => ({ id: idOf(c), title: c.dataset["title"] ?? "" }));
  const id = carriers.length > 0 ? first() : "";
  if (id !== "") {
    opened.show(decode(id, await unpack(carriers.find((c) => idOf(c) === id)!)));
    route.startShared(id);
  }
  mount(SharedApp, { target, props: { traces, report, id, choose } });
}

void start();
