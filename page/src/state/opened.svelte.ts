// The trace that the address names: from the backend, decoded by a Worker, or from a file that the reader chose.

import { sameTraceId } from "../model/ids";
import { plural, toMilliseconds } from "../model/format";
import type { Columns, Trace } from "../model/trace";
import type { Milliseconds } from "../model/units";
import { type Early, earlyKey } from "./early";
import { type Loading, valueOf } from "./loading";
import { route } from "./route.svelte";
import { type Decoded, Matcher, type Shown, shown, shownAs } from "./tracework";
import type { Answer, Request } from "./traceworker";
import { ui } from "./ui.svelte";

/** The spans that match the filter text, by their place in the input; or the mistake in the text. */
export type Matched = { matches: Uint8Array } | { message: string };

/** For how long after its last span a trace is asked for again. */
const stillGrowing: Milliseconds = 90_000;

/** The mark in the browser's timeline when the Worker is ready for the first trace. */
const workerReady = "trace worker ready";

class OpenedTrace {
  /** done with undefined: the backend has no such trace. */
  trace = $state.raw<Loading<Shown | undefined>>({ state: "none" });
  /** The backend's message about the trace, such as that a part of it is missing. */
  note = $state("");
  /** Traces read from a file: they live in this page only. */
  files = $state.raw<Trace[]>([]);
  fileName = $state("");
  /** The mistake in the file, or "". */
  fileError = $state("");

  #id = "";
  /** Counts up with every trace that is asked for: answers that carry an older number are dropped. */
  #key = 0;
  #sequence = 0;
  #timer = 0;
  /** The filter that is not answered yet: asked again when the trace was opened anew meanwhile. */
  #asked: string | undefined;
  #worker: Worker | undefined;
  #local: Matcher | undefined;
  #waiting: ((answer: Matched) => void) | undefined;

  #makeWorker: (() => Worker) | undefined;
  #early: Early | undefined;

  /** early is a trace that was asked for before this was here. */
  start(makeWorker: () => Worker, early?: Early): void {
    this.#makeWorker = makeWorker;
    if (early) this.#adopt(early);
    route.onChange(() => this.#load(route.explore.trace));
  }

  /** Shows a trace that is here already. */
  show(decoded: Decoded): void {
    const value = shown(decoded);
    this.#local = new Matcher(value.trace);
    this.trace = { state: "done", value };
  }

  reload(): void {
    this.#id = "";
    this.#load(route.explore.trace);
  }

  /** Decides a filter for the open trace. Of several calls only the last is answered. */
  match(text: string): Promise<Matched> {
    if (this.#local) return Promise.resolve(matchHere(this.#local, text));
    this.#sequence++;
    this.#asked = text;
    this.#ask({ type: "match", key: this.#key, sequence: this.#sequence, text });
    return new Promise((resolve) => (this.#waiting = resolve));
  }

  #load(id: string): void {
    if (id === this.#id) return;
    this.#id = id;
    this.#key++;
    clearTimeout(this.#timer);
    this.#asked = undefined;
    this.note = "";
    this.#local = undefined;
    const local = this.files.find((t) => sameTraceId(t.id, id));
    if (id === "" || local) {
      if (this.#worker) this.#ask({ type: "close" });
      this.trace = local && id !== "" ? { state: "done", value: this.#fromFile(local) } : { state: "none" };
      return;
    }
    this.trace = { state: "loading", before: undefined };
    const early = this.#early?.id === id ? this.#early : undefined;
    this.#early = undefined;
    if (!early) return this.#ask({ type: "open", key: this.#key, id });
    this.#key = earlyKey;
    early.worker.onmessage = (event: MessageEvent<Answer>) => this.#take(event.data);
    for (const answer of early.answers) this.#take(answer);
  }

  #adopt(early: Early): void {
    this.#early = early;
    this.#key = earlyKey;
    this.#worker = this.#listensTo(early.worker);
  }

  #fromFile(trace: Trace): Shown {
    const made = shownAs(trace);
    this.#local = new Matcher(made.trace);
    return made;
  }

  /** A trace that has grown takes the place of the one that is shown; an equal one leaves it alone. */
  #show(decoded: Decoded | undefined): void {
    const before = valueOf(this.trace)?.trace;
    const grown = before && decoded && before.id === decoded.columns.id ? decoded.columns.length - before.length : undefined;
    if (grown !== 0) this.trace = { state: "done", value: decoded && shown(decoded) };
    if (grown !== undefined && grown > 0) ui.announcement = `${plural(grown, "more span")} arrived`;
    if (decoded) this.#lookAgain(decoded.columns);
  }

  /** Spans of a young trace may still be on their way: ask again, less and less often, until it is old. */
  #lookAgain(t: Columns): void {
    const age = Date.now() - (toMilliseconds(t.start) + t.duration / 1e6);
    if (age > stillGrowing || age < -stillGrowing) return;
    const id = this.#id;
    clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => {
      if (this.#id !== id) return;
      if (document.hidden) return this.#lookAgain(t);
      this.#key++;
      this.#ask({ type: "open", key: this.#key, id });
    }, Math.max(2000, age / 4));
  }

  /** Starts the Worker before a trace is asked for, which then need not wait for its program. */
  prepare(): void {
    this.#worker ??= this.#started();
  }

  #ask(request: Request): void {
    this.prepare();
    this.#worker!.postMessage(request);
  }

  #started(): Worker {
    const worker = this.#listensTo(this.#makeWorker!());
    worker.onmessage = (event: MessageEvent<Answer>) => this.#take(event.data);
    return worker;
  }

  #listensTo(worker: Worker): Worker {
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      this.trace = { state: "error", message: `the trace could not be decoded${event.message ? `: ${event.message}` : ""}` };
    });
    return worker;
  }

  #take(answer: Answer): void {
    if (answer.type === "ready") {
      performance.mark(workerReady);
      return;
    }
    if (answer.key !== this.#key) return;
    if (answer.type === "failed") {
      // A trace that is shown stays, when only looking again for more of it failed.
      if (!valueOf(this.trace)) this.trace = { state: "error", message: answer.message };
    } else if (answer.type === "opened") {
      this.note = answer.note;
      this.#show(answer.decoded);
      if (this.#asked !== undefined) this.#ask({ type: "match", key: this.#key, sequence: this.#sequence, text: this.#asked });
    } else if (answer.sequence === this.#sequence) {
      this.#asked = undefined;
      this.#waiting?.(answer.type === "matched" ? { matches: answer.matches } : { message: answer.message });
    }
  }
}

function matchHere(matcher: Matcher, text: string): Matched {
  try {
    return { matches: matcher.match(text) };
  } catch (err) {
    return { message: (err as Error).message };
  }
}

export const opened = new OpenedTrace();
