// The page inside of a shared file: one trace, no server, no Worker, the address after the "#".

import { mount } from "svelte";
import { fromBase64 } from "./model/encode";
import { opened } from "./state/opened.svelte";
import { route } from "./state/route.svelte";
import { decode } from "./state/tracework";
import SharedApp from "./view/SharedApp.svelte";
import "./view/app.css";

const carrier = document.getElementById("trace")!;

async function unpack(): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Blob([fromBase64(carrier.textContent.trim())]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

void unpack().then((bytes) => {
  const id = carrier.dataset["traceId"] ?? "";
  opened.show(decode(id, bytes));
  route.startShared(id);
  mount(SharedApp, { target: document.getElementById("app")! });
});
