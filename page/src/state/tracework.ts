// The work of a Worker for one open trace: fetch, decode, arrange, filter. Also run on the page itself, for traces
// that are small or that came from a file, and in a shared page, which has no Worker.

import { type Answer, answerFor, keepAnswer } from "../model/answer";
import { type ByteSearch, searchOf } from "../model/bytesearch";
import { parseFilter } from "../model/filter";
import { keepRuns, type Runs, runsOf } from "../model/inside";
import { match } from "../model/match";
import { ByteStore, indexSpans, type Places } from "../model/otlpbytes";
import { corrected } from "../model/skew";
import { arrange, type Columns, type Trace } from "../model/trace";
import type { Hex } from "../model/units";
import { Reader } from "../model/wire";
import { answered, refuseWebPage } from "./answers";

/** A decoded trace as plain data. */
export interface Decoded {
  columns: Columns;
  /** With clock skew corrected, where there is any. */
  corrected: Columns | undefined;
  /** These two are for the columns that are shown first: the corrected ones, where there are any. */
  answer: Answer;
  runs: Runs;
  places: Places;
  bytes: Uint8Array<ArrayBuffer>;
}

export interface Found {
  decoded: Decoded | undefined;
  /** The backend's message about a partial trace; "" for a whole one. */
  note: string;
}

export function decode(id: Hex, bytes: Uint8Array<ArrayBuffer>): Decoded {
  const { traceId, raw, places } = indexSpans(bytes);
  const columns = arrange(traceId || id, raw);
  const skewless = corrected(columns);
  const first = skewless ?? columns;
  return { columns, corrected: skewless, answer: answerFor(first), runs: runsOf(first), places, bytes };
}

/** All buffers of a decoded trace: handed over with it, they change their owner without being copied. */
export function buffersOf(d: Decoded): ArrayBuffer[] {
  const found = new Set<ArrayBuffer>();
  const look = (value: unknown): void => {
    if (ArrayBuffer.isView(value)) found.add(value.buffer as ArrayBuffer);
    else if (typeof value === "object" && value !== null && !Array.isArray(value)) Object.values(value).forEach(look);
  };
  for (const part of [d.columns, d.corrected, d.runs, d.places, d.bytes]) look(part);
  return [...found];
}

/** A trace of its own out of a decoded one, whose buffers are about to be handed over. */
export function ownTrace(d: Decoded): Trace {
  return { ...copied(d.corrected ?? d.columns), store: new ByteStore(d.bytes.slice(), copied(d.places)) };
}

/** A copy with buffers of its own. structuredClone() writes and reads each of them once more. */
function copied<T>(value: T): T {
  if (ArrayBuffer.isView(value)) return (value as unknown as Uint8Array).slice() as T;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, copied(part)])) as T;
}

/** A trace that the page can show, and the same without the correction of clock skew. */
export interface Shown {
  trace: Trace;
  asRecorded: Trace;
}

export function shown(d: Decoded): Shown {
  const store = new ByteStore(d.bytes, d.places);
  const asRecorded = { ...d.columns, store };
  const trace = d.corrected ? { ...d.corrected, store } : asRecorded;
  keepAnswer(trace, d.answer);
  keepRuns(trace, d.runs);
  return { asRecorded, trace };
}

export function shownAs(trace: Trace): Shown {
  const without = corrected(trace);
  return { asRecorded: trace, trace: without ? { ...without, store: trace.store } : trace };
}

/** Decides filters for one trace. */
export class Matcher {
  #search: ByteSearch | undefined;

  constructor(private readonly trace: Trace) {}

  /** Prepares a part of what filters need, or all of it, and says whether that is done. A filter does not wait for it. */
  prepare(spans = this.trace.length): boolean {
    return (this.#search ??= searchOf(this.trace)).prepare(spans);
  }

  /** 1 for each span, by its place in the input, that the filter holds for. Throws an Error for a filter that cannot be read. */
  match(text: string): Uint8Array {
    const filter = parseFilter(text);
    return match(this.trace, (this.#search ??= searchOf(this.trace)), filter);
  }
}

/** Asks the backend for one trace. */
export async function fetchBytes(id: string, signal: AbortSignal): Promise<Found> {
  const response = await answered(() => fetch(`/api/v2/traces/${encodeURIComponent(id)}`, { headers: { Accept: "application/protobuf" }, signal }), signal);
  if (response.status === 404) return { decoded: undefined, note: "" };
  refuseWebPage(response);
  const { trace, note } = readAnswer(new Uint8Array(await response.arrayBuffer()));
  const decoded = decode(id, trace);
  return { decoded: decoded.columns.length === 0 ? undefined : decoded, note };
}

/** TraceByIDResponse: trace = 1, status = 3 (1 is PARTIAL), message = 4. */
function readAnswer(bytes: Uint8Array<ArrayBuffer>): { trace: Uint8Array<ArrayBuffer>; note: string } {
  let trace = bytes.subarray(0, 0);
  let [partial, message] = [false, ""];
  for (const r = new Reader(bytes); r.next(); ) {
    if (r.field === 1) trace = bytes.subarray(r.from, r.to);
    else if (r.field === 3) partial = r.lo === 1;
    else if (r.field === 4) message = r.text();
  }
  return { trace, note: partial ? message || "This is only a part of the trace" : "" };
}
