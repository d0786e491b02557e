// Faults of a trace or a span, in words: the reader should not have to guess why a picture looks odd.

import { formatDuration, grouped } from "./format";
import { skewSummary } from "./skew";
import { type Columns, type SpanData } from "./trace";
import type { SpanIndex } from "./units";

/** The oddities of a whole trace. */
export function oddTrace(t: Columns): string[] {
  const made: string[] = [];
  let orphans = 0;
  let roots = 0;
  for (let i = 0; i < t.length; i = t.subtreeEnds[i]!) {
    if (t.orphans[i]) orphans++;
    else roots++;
  }
  if (roots === 0 && t.length > 0) made.push("The root span is not here: it has not arrived yet, it was dropped, or its service does not send spans. The trace is read from its first moment to its last.");
  if (roots > 0 && orphans > 0) made.push(`${orphans === 1 ? "1 span names a parent" : `${grouped(orphans)} spans name parents`} that ${orphans === 1 ? "is" : "are"} not part of the trace: the parent has not arrived yet, or was never sent. Each is shown as one more root.`);
  if (roots > 1) made.push(`The trace has ${roots} roots.`);
  const impossible = countImpossible(t);
  if (impossible > 0) made.push(`${impossible === 1 ? "1 span ends" : `${grouped(impossible)} spans end`} before ${impossible === 1 ? "it starts" : "they start"}, or ${impossible === 1 ? "has" : "have"} no start: drawn without length.`);
  return made;
}

function countImpossible(t: Columns): number {
  let n = 0;
  for (let i = 0; i < t.raw.length; i++) if (Number.isNaN(t.raw.starts[i]!) || t.raw.ends[i]! < t.raw.starts[i]!) n++;
  return n;
}

/** "uservice4 (+320 ms)" for each service whose spans were moved. */
export function skewWords(t: Columns): string[] {
  return skewSummary(t).map(({ service, by }) => `${service} (${by > 0 ? "+" : "−"}${formatDuration(Math.abs(by))})`);
}

/** The oddities of one span. */
export function oddSpan(t: Columns, i: SpanIndex, data: SpanData): string[] {
  const made: string[] = [];
  if (t.orphans[i]) made.push(`Its parent span ${data.parentId} is not part of the trace: it has not arrived yet, or was never sent.`);
  if (data.start === 0n) made.push("It has no start time, so it is drawn at the start of the trace.");
  else if (data.end === 0n) made.push("It has no end time: perhaps it was still running when it was sent.");
  else if (data.end < data.start) made.push(`It ends ${formatDuration(Number(data.start - data.end))} before it starts, which cannot be: its clock was set back meanwhile, or its program mixed up the two.`);
  const shift = t.shifts?.[i] ?? 0;
  if (shift !== 0) made.push(`It is drawn ${formatDuration(Math.abs(shift))} ${shift > 0 ? "later" : "earlier"} than recorded: as recorded it lies outside of its parent, so the clocks of the two services differ.`);
  const parent = t.parents[i]!;
  if (parent >= 0 && shift === 0) {
    const [end, parentEnd] = [t.starts[i]! + t.durations[i]!, t.starts[parent]! + t.durations[parent]!];
    if (t.starts[i]! > parentEnd) made.push("It starts after its parent has ended: work that the parent did not wait for.");
    else if (end > parentEnd) made.push(`It outlives its parent by ${formatDuration(end - parentEnd)}: work that the parent did not wait for.`);
  }
  if (data.events.some((e) => e.time !== 0n && (e.time < data.start || e.time > data.end))) made.push("It has events from before its start or after its end.");
  return made;
}

/** The demo's lesson: uservice3 and uservice4 set an error status with the words "no error", on purpose. */
export function deliberateError(data: SpanData): boolean {
  return data.statusCode === "error" && data.statusMessage === "no error";
}
