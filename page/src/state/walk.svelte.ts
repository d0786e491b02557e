// One request of the walk: sent through the edge, followed by the lines of the services and by the spans that arrive.

import { rootOf, serviceOf, type Trace } from "../model/trace";
import { hopsOf, type Line, traceOf } from "../model/walk";
import { fetchTrace, search } from "./api";
import { askedJson } from "./answers";

export type Phase = "idle" | "sending" | "arriving" | "done" | "failed";

/** The answer to POST /api/etude/walk. Times are microseconds since 1970, by etude's clock. */
export interface WalkAnswer {
  status: number;
  start: number;
  end: number;
  body: string;
}

/** Lines that are kept of one request. */
const maxLines = 4000;
/** How long spans are waited for after the answer, in milliseconds; a batch processor sends every 5 seconds. */
const patience = 8000;
/** For how long nothing must have come for the trace to count as whole. */
const quiet = 700;
const pause = 200;

export class WalkRun {
  phase = $state<Phase>("idle");
  error = $state("");
  /** Milliseconds since the request was sent. */
  elapsed = $state(0);
  lines = $state.raw<Line[]>([]);
  /** Lines that were lost since this page could not keep up. */
  lost = $state(0);
  answer = $state.raw<WalkAnswer | undefined>();
  /** The traces of this request, earliest first. */
  traces = $state.raw<Trace[]>([]);
  /** Whether the backend is still asked for spans. */
  asking = $state(false);

  readonly hops = $derived.by(() => hopsOf(this.lines, this.#id, this.first, this.second));
  /** The time from which lines count, in microseconds since 1970. */
  readonly base = $derived(this.answer?.start ?? this.hops[0].request?.us ?? 0);

  #id = $state("");
  #source: EventSource | undefined;
  #opened: Promise<void> | undefined;
  #stop: AbortController | undefined;

  /** others: whether traces that no header names are looked for as well. */
  constructor(readonly first: string, readonly second: string, readonly others = false) {}

  get busy(): boolean {
    return this.phase === "sending";
  }

  /** Sends the request and follows it to its end. */
  async send(): Promise<void> {
    if (this.busy) return;
    this.#stop?.abort();
    const stop = (this.#stop = new AbortController());
    this.#id = `walk-${Math.random().toString(36).slice(2, 12)}`;
    Object.assign(this, { phase: "sending", error: "", elapsed: 0, lines: [], lost: 0, answer: undefined, traces: [] });
    try {
      const known = this.others ? await this.#traceIds(Date.now() - 60_000, stop.signal) : new Set<string>();
      await this.#listen();
      const sent = Date.now();
      const clock = setInterval(() => (this.elapsed = Date.now() - sent), 50);
      const follow = this.#follow(sent, known, stop.signal);
      try {
        this.answer = await post(this.first, this.#id, stop.signal);
        this.elapsed = Math.round((this.answer.end - this.answer.start) / 1000);
      } finally {
        clearInterval(clock);
      }
      this.phase = "arriving";
      await follow;
    } catch (err) {
      if (stop.signal.aborted) return;
      this.phase = "failed";
      this.error = err instanceof Error ? err.message : String(err);
      stop.abort();
    }
  }

  /** Ends everything that is under way. */
  close(): void {
    this.#stop?.abort();
    this.#source?.close();
    this.#source = this.#opened = undefined;
  }

  /** Resolves when lines come: none that is printed from then on is missed. */
  #listen(): Promise<void> {
    if (this.#opened && this.#source?.readyState === EventSource.OPEN) return this.#opened;
    this.#source?.close();
    const source = (this.#source = new EventSource("/api/etude/lines"));
    this.#opened = new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error("The lines of the services do not come. Is etude still running?")), 8000);
      source.onmessage = (event: MessageEvent<string>) => {
        clearTimeout(late);
        resolve();
        const { lines, lost } = JSON.parse(event.data) as { lines: Line[]; lost: number };
        this.lost += lost;
        if (lines.length > 0) this.lines = [...this.lines, ...lines].slice(-maxLines);
      };
    });
    return this.#opened;
  }

  /** Asks for spans until the trace is whole, and then for a while in case more come. */
  async #follow(sent: number, known: Set<string>, signal: AbortSignal): Promise<void> {
    let spans = 0;
    let changed = Date.now();
    let answered = 0;
    this.asking = true;
    try {
      while (!signal.aborted && this.phase !== "failed") {
        await new Promise((go) => setTimeout(go, this.phase === "done" ? 2 * pause : pause));
        if (signal.aborted) return;
        this.traces = await this.#gather(sent, known, signal);
        const now = this.traces.reduce((sum, t) => sum + t.length, 0);
        if (now !== spans) [spans, changed] = [now, Date.now()];
        if (!this.answer) continue;
        answered ||= Date.now();
        const whole = this.traces.some((t) => t.orphans[rootOf(t)] === 0) && Date.now() - changed > quiet;
        if (whole || Date.now() - answered > patience) this.phase = "done";
        if (Date.now() - answered > patience) return;
      }
    } finally {
      if (this.#stop?.signal === signal) this.asking = false;
    }
  }

  async #gather(sent: number, known: Set<string>, signal: AbortSignal): Promise<Trace[]> {
    const ids = new Set(this.hops.map((h) => traceOf(h.request)).filter((id) => id !== ""));
    const found = this.others ? await this.#traceIds(sent - 3000, signal) : await this.#held(ids, signal);
    const made: Trace[] = [];
    for (const id of new Set([...ids, ...found])) {
      if (!found.has(id) || (known.has(id) && !ids.has(id))) continue;
      const { trace } = await fetchTrace(id, signal);
      if (trace && (ids.has(id) || !ofEdge(trace))) made.push(trace);
    }
    return made.sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
  }

  /** The ids of which the backend has spans. */
  async #held(ids: Set<string>, signal: AbortSignal): Promise<Set<string>> {
    const found = new Set<string>();
    for (const id of ids) {
      if (this.traces.some((t) => plain(t.id) === id)) found.add(id);
      else for (const r of await search(`{ trace:id = "${id}" }`, 1, lastMinutes, signal)) found.add(plain(r.id));
    }
    return found;
  }

  /** The traces of the demo that began after a time, in milliseconds since 1970. */
  async #traceIds(since: number, signal: AbortSignal): Promise<Set<string>> {
    const results = await search('{ resource.service.name =~ "edge|uservice[1-4]" }', 30, lastMinutes, signal);
    return new Set(results.filter((r) => Number(r.start / 1_000_000n) >= since).map((r) => plain(r.id)));
  }
}

const lastMinutes = { from: "now-5m", to: "now" };

function plain(id: string): string {
  return id.replace(/^0+/, "");
}

/** A trace that the edge has begun is that of one request; another one is somebody else's. */
function ofEdge(trace: Trace): boolean {
  const root = rootOf(trace);
  return root >= 0 && serviceOf(trace, root) === "edge";
}

async function post(service: string, id: string, signal: AbortSignal): Promise<WalkAnswer> {
  return (await askedJson("/api/etude/walk", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ service, id }), signal })) as WalkAnswer;
}
