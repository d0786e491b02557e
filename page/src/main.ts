// The first of the page to run, while the browser still fetches the app: a trace that the address names is asked for now.

import { startEarly } from "./state/early";

const makeWorker = (): Worker => new Worker(new URL("./state/traceworker.ts", import.meta.url), { type: "module" });

const early = startEarly(makeWorker);
if (early) void import("./view/trace/TracePane.svelte");
void import("./app").then((app) => app.start(makeWorker, early));
