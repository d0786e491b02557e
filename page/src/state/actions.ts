// Every action of the page by name, with its key: for the palette and the help.

import { isTraceId, pastedTraceId } from "../model/ids";
import { opened } from "./opened.svelte";
import { route } from "./route.svelte";
import { search } from "./search.svelte";
import { ui } from "./ui.svelte";
import { compareHref, exploreHref, labsHref, servicesHref, traceViews, type TraceView } from "./url";

export interface Action {
  name: string;
  /** As printed; "" for none. */
  key: string;
  run: () => void;
}

const viewNames: Record<TraceView, string> = { waterfall: "Waterfall", flame: "Flame graph", table: "Table of spans", sequence: "Sequence diagram", services: "Services of the trace" };

/** The actions that can be run now. */
export function actions(): Action[] {
  const made: Action[] = [
    { name: "Go to the walk", key: "", run: () => route.go("/walk") },
    ...(ui.info?.walk ? [{ name: "Labs", key: "", run: () => route.go(labsHref("")) }] : []),
    { name: "Search traces", key: "", run: () => route.go(exploreHref({ ...route.time, tab: "search" })) },
    { name: "Search by TraceQL", key: "", run: () => route.go(exploreHref({ ...route.time, tab: "traceql" })) },
    { name: "Open a trace from a file", key: "", run: () => route.go(exploreHref({ ...route.time, tab: "json" })) },
    { name: "Service graph", key: "", run: () => route.go(exploreHref({ ...route.time, tab: "graph" })) },
    { name: "Services: rate, errors, durations", key: "", run: () => route.go(servicesHref("", route.time)) },
    { name: "Compare traces, or sets of traces", key: "", run: () => route.go(compareHref(route.time)) },
    { name: "Failed spans of all services", key: "", run: () => search.run({ tab: "traceql", query: "{ status = error }", trace: "", span: "" }) },
    { name: "Refresh", key: "", run: () => route.refresh() },
    { name: `Switch to the ${ui.theme === "dark" ? "light" : "dark"} theme`, key: "", run: () => ui.setTheme(ui.theme === "dark" ? "light" : "dark") },
    { name: ui.zone === "utc" ? "Show times in the local time zone" : "Show times in UTC", key: "", run: () => ui.setZone(ui.zone === "utc" ? "local" : "utc") },
    { name: "Keyboard help", key: "?", run: () => (ui.helpOpen = true) },
  ];
  return opened.trace.state === "done" && opened.trace.value ? [...traceActions(), ...made] : made;
}

function traceActions(): Action[] {
  const shown = opened.trace.state === "done" ? opened.trace.value : undefined;
  if (!shown) return [];
  const { look } = route;
  const set = (change: Parameters<typeof route.setLook>[0]): (() => void) => () => route.setLook(change, "push");
  return [
    ...traceViews.map((view, i): Action => ({ name: `View: ${viewNames[view]}`, key: String(i + 1), run: set({ view }) })),
    { name: "Find and filter spans", key: "/", run: () => document.querySelector<HTMLInputElement>("[data-testid=find-input]")?.focus() },
    { name: "Only failed spans", key: "", run: set({ find: "status=error" }) },
    { name: "Only the critical path", key: "", run: set({ find: "critical=true" }) },
    { name: "All spans", key: "", run: set({ find: "" }) },
    { name: look.path ? "Hide the critical path" : "Mark the critical path", key: "", run: set({ path: !look.path }) },
    { name: "Zoom out to the whole trace", key: "0", run: set({ zoom: "" }) },
    { name: "Unfold all spans", key: "", run: set({ folds: "" }) },
    { name: "Fold all spans", key: "", run: set({ folds: "all" }) },
    ...(shown.trace !== shown.asRecorded ? [{ name: look.skew ? "Show times as recorded" : "Correct clock skew", key: "", run: set({ skew: !look.skew }) }] : []),
    { name: "Compare the trace with what is usual", key: "", run: () => route.go(compareHref({ ...route.time, before: "usual", after: shown.trace.id })) },
    { name: "Save as OTLP JSON", key: "", run: () => void import("./files").then((f) => f.saveOtlp(shown.asRecorded)) },
    { name: "Save as Jaeger JSON", key: "", run: () => void import("./files").then((f) => f.saveJaeger(shown.asRecorded)) },
    { name: "Share as one HTML file", key: "", run: () => void import("./files").then((f) => f.saveShared(shown.asRecorded)) },
    { name: "Close the trace", key: "Esc", run: () => route.go(exploreHref({ ...route.explore, trace: "", span: "" })) },
  ];
}

/** Actions whose name holds every word of the text, or the one that opens the trace whose id was typed. */
export function matching(text: string): Action[] {
  const typed = text.trim();
  const id = pastedTraceId(typed) || (typed.length >= 8 && isTraceId(typed) ? typed : "");
  if (id !== "") return [{ name: `Open trace ${id}`, key: "", run: () => route.go(exploreHref({ ...route.time, trace: id })) }];
  const words = typed.toLowerCase().split(/\s+/);
  return actions().filter((a) => words.every((w) => a.name.toLowerCase().includes(w)));
}
