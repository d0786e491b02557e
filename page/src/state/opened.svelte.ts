// The trace that the address names: from the backend, or from a file that the reader chose.

import { sameTraceId } from "../model/ids";
import type { Trace } from "../model/trace";
import { fetchTrace } from "./api";
import type { Loading } from "./loading";
import { route } from "./route.svelte";

class OpenedTrace {
  /** done with undefined: the backend has no such trace. */
  trace = $state.raw<Loading<Trace | undefined>>({ state: "none" });
  /** What the backend says about the trace, such as that a part of it is missing. */
  note = $state("");
  /** Traces read from a file: they live in this page only. */
  files = $state.raw<Trace[]>([]);

  #key = "";
  #request = new AbortController();

  start(): void {
    route.onChange(() => void this.#load(route.explore.trace));
  }

  async reload(): Promise<void> {
    this.#key = "";
    await this.#load(route.explore.trace);
  }

  async #load(id: string): Promise<void> {
    if (id === this.#key) return;
    this.#key = id;
    this.note = "";
    this.#request.abort();
    const local = this.files.find((t) => sameTraceId(t.id, id));
    if (id === "" || local) {
      this.trace = local && id !== "" ? { state: "done", value: local } : { state: "none" };
      return;
    }
    this.#request = new AbortController();
    const { signal } = this.#request;
    this.trace = { state: "loading", before: undefined };
    try {
      const { trace, note } = await fetchTrace(id, signal);
      if (signal.aborted) return;
      this.note = note;
      this.trace = { state: "done", value: trace };
    } catch (err) {
      if (!signal.aborted) this.trace = { state: "error", message: (err as Error).message };
    }
  }
}

export const opened = new OpenedTrace();
