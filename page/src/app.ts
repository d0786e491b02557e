import { mount } from "svelte";
import { opened } from "./state/opened.svelte";
import { route } from "./state/route.svelte";
import { search } from "./state/search.svelte";
import { ui } from "./state/ui.svelte";
import type { Early } from "./state/early";
import "./view/app.css";
import App from "./view/App.svelte";

/** early is the trace that was asked for already. */
export function start(makeWorker: () => Worker, early: Early | undefined): void {
  // The address comes last: search and opened listen to it.
  ui.start();
  search.start();
  opened.start(makeWorker, early);
  route.start();
  mount(App, { target: document.getElementById("app")! });

  // The next click is likely to open a trace: what that needs is fetched once the page has nothing else to do.
  (window.requestIdleCallback ?? ((f) => setTimeout(f, 300)))(() => {
    void import("./view/trace/TracePane.svelte");
    opened.prepare();
  });
}
