// The walk's reply to a learner's guess, and the spans that tracing would have shown where there is none.

import { formatDuration } from "./format";
import { nameOf, serviceOf, type Trace } from "./trace";
import type { Hop } from "./walk";
import type { SpanIndex } from "./units";

export interface Verdict {
  right: boolean;
  text: string;
}

/** The span in which the most time was spent; -1 for no spans. */
export function slowestOf(trace: Trace): SpanIndex {
  let found = -1;
  for (let i = 0; i < trace.length; i++) if (found < 0 || trace.selfTimes[i]! > trace.selfTimes[found]!) found = i;
  return found;
}

/** Was it the slow one? A span is slow by its own time, not by its waiting. */
export function judge(trace: Trace, guess: SpanIndex): Verdict {
  const slowest = slowestOf(trace);
  const own = trace.selfTimes[guess]!;
  const whole = Math.max(1, trace.duration);
  const name = `${serviceOf(trace, guess)} ${nameOf(trace, guess)}`;
  if (guess === slowest) {
    return { right: true, text: `Yes. ${name} spent ${formatDuration(own)} itself, ${Math.round((100 * own) / whole)} % of the whole ${formatDuration(trace.duration)}. Every bar above it is long only because it waits for this one.` };
  }
  const waited = trace.durations[guess]! - own;
  const hint = trace.childCounts[guess]! > 0 ? "Follow the long bars down, to the one that does not wait for another." : "Look for a longer bar that does not wait for another.";
  if (waited > own) return { right: false, text: `Not that one. ${name} took ${formatDuration(trace.durations[guess]!)}, but for ${formatDuration(waited)} of them it waited for the span below it. Its own time is ${formatDuration(own)}. ${hint}` };
  return { right: false, text: `Not that one. ${name} spent ${formatDuration(own)} itself; another span spent more. ${hint}` };
}

/** The same question where only the edge has spans. A guess of -1 is "you cannot know". */
export function judgeDark(trace: Trace, guess: SpanIndex): Verdict {
  if (guess < 0) {
    return { right: true, text: "Right: you cannot know. The edge saw only the total. uservice1, its Redis, uservice2 and its database are one dark stretch." };
  }
  return { right: false, text: `${serviceOf(trace, guess)} ${nameOf(trace, guess)} is as long as the whole request, because it waited for uservice1. For which part of it? No span says. Is there anything here that could tell you?` };
}

/** A ghost span, drawn from the times of log lines. Times are microseconds from the start of the request. */
export interface Ghost {
  service: string;
  name: string;
  depth: number;
  from: number;
  to: number;
  /** The time that is its own. */
  own: { from: number; to: number };
  /** Whether its end is a guess: no line was printed there. */
  guessed: boolean;
  /** Which lines it was read from. */
  why: string;
}

/** The spans that the uninstrumented pair would have sent, as far as its lines tell. None while the lines are not all there. */
export function ghostsOf([one, two]: [Hop, Hop], start: number): Ghost[] {
  if (!one.request || !two.request || one.calling === undefined || one.answered === undefined) return [];
  const [asked, called, heard, got] = [one.request.us, one.calling, Math.max(two.request.us, one.calling), one.answered].map((us) => us - start) as [number, number, number, number];
  const ghost = (service: string, name: string, depth: number, from: number, to: number, own: Ghost["own"], guessed: boolean, why: string): Ghost => ({ service, name, depth, from, to, own, guessed, why });
  const none = { from: got, to: got };
  return [
    ghost(one.service, "handle_incoming_call", 0, asked, got, none, true, "from “Request” of uservice1 to its “Got response!”"),
    ghost(one.service, "redis_call", 1, asked, got, { from: asked, to: called }, true, "its own part from “Request” to “Calling”"),
    ghost(one.service, "other_uservice_call", 2, called, got, { from: called, to: heard }, false, "from “Calling” to “Got response!”"),
    ghost(two.service, "handle_incoming_call", 3, heard, got, none, true, "from “Request” of uservice2; its end is not printed"),
    ghost(two.service, "database_call", 4, heard, got, { from: heard, to: got }, true, "uservice2 prints nothing after “Request”: all that is left must be the database"),
  ];
}

/** "+0.137 s" from microseconds: figures below each other, to be compared. */
export function sinceStart(us: number): string {
  return `+${(Math.max(0, us) / 1e6).toFixed(3)} s`;
}
