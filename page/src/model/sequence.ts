// The calls of a trace between services, in order of time, for a sequence diagram.

import { formatDuration } from "./format";
import { silentPeer } from "./graph";
import { kindOf, nameOf, serviceOf, type Trace } from "./trace";
import type { Nanoseconds, SpanIndex } from "./units";

export interface Message {
  time: Nanoseconds;
  /** Into participants. */
  from: number;
  to: number;
  label: string;
  /** An answer closes the call of the same span. A message has none: its sender does not wait. */
  type: "call" | "answer" | "message";
  error: boolean;
  span: SpanIndex;
}

export interface Sequence {
  participants: string[];
  messages: Message[];
  /** Calls that are left out since the diagram would be too long. */
  omitted: number;
}

/** The most calls in a diagram. */
const mostCalls = 150;

/** wanted limits the calls to those of some spans. */
export function sequenceOf(t: Trace, wanted?: Uint8Array): Sequence {
  const participants: string[] = [];
  const number = (name: string): number => {
    const known = participants.indexOf(name);
    return known >= 0 ? known : participants.push(name) - 1;
  };
  const messages: Message[] = [];
  let calls = 0;
  let omitted = 0;
  const add = (from: string, to: string, i: SpanIndex, label: string): void => {
    if (calls >= mostCalls) {
      omitted++;
      return;
    }
    calls++;
    const [a, b] = [number(from), number(to)];
    const kind = kindOf(t, i);
    const type = kind === "consumer" || kind === "producer" ? ("message" as const) : ("call" as const);
    const [start, end, error] = [t.starts[i]!, t.starts[i]! + t.durations[i]!, t.errors[i] === 1];
    messages.push({ time: start, from: a, to: b, label, type, error: error && type === "message", span: i });
    if (type === "call") messages.push({ time: end, from: b, to: a, label: formatDuration(t.durations[i]!), type: "answer", error, span: i });
  };
  for (let i = 0; i < t.length; i++) {
    const parent = t.parents[i]!;
    const service = serviceOf(t, i);
    if (wanted && !wanted[i]) continue;
    if (parent < 0) add(t.orphans[i] ? "(unknown)" : "caller", service, i, nameOf(t, i));
    else if (serviceOf(t, parent) !== service) add(serviceOf(t, parent), service, i, nameOf(t, i));
    const peer = silentPeer(t, i);
    if (peer !== undefined && peer !== service) add(service, peer, i, nameOf(t, i));
  }
  // Of messages at one moment, calls go down the tree before answers come up again.
  messages.sort((a, b) => a.time - b.time || (a.type === "answer" ? 1 : 0) - (b.type === "answer" ? 1 : 0) || (a.type === "answer" ? b.span - a.span : a.span - b.span));
  return { participants, messages, omitted };
}

/** The diagram in Mermaid's language. */
export function toMermaid(s: Sequence): string {
  const lines = ["sequenceDiagram", ...s.participants.map((name, i) => `  participant p${i} as ${mermaidText(name)}`)];
  const arrows = { call: "->>+", answer: "-->>-", message: "-)" };
  for (const m of s.messages) {
    const arrow = m.error ? (m.type === "answer" ? "--x-" : "-x") : arrows[m.type];
    lines.push(`  p${m.from}${arrow}p${m.to}: ${mermaidText(m.label)}${m.error ? " (error)" : ""}`);
  }
  return `${lines.join("\n")}\n`;
}

/** Mermaid ends a statement at ";" and begins a comment or an entity at "%%" and "#". */
function mermaidText(text: string): string {
  return text.replace(/[#;%\n\r]/g, (c) => (c === "\n" || c === "\r" ? " " : `#${c.charCodeAt(0)};`)) || " ";
}
