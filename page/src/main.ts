import { mount } from "svelte";
import { opened } from "./state/opened.svelte";
import { route } from "./state/route.svelte";
import { search } from "./state/search.svelte";
import { ui } from "./state/ui.svelte";
import "./view/app.css";
import App from "./view/App.svelte";

// The address comes last: search and opened listen to it.
ui.start();
search.start();
opened.start(() => new Worker(new URL("./state/traceworker.ts", import.meta.url), { type: "module" }));
route.start();
mount(App, { target: document.getElementById("app")! });

// The next click is likely to open a trace: what that needs is fetched once the page has nothing else to do.
(window.requestIdleCallback ?? ((f) => setTimeout(f, 300)))(() => {
  void import("./view/trace/TracePane.svelte");
  opened.prepare();
});
