// The Worker of the open trace. It keeps a copy for itself, since a filter looks at every attribute; the page gets the
// other one, by a change of owner and so without a pause, and decodes from it the spans that it shows.

import { practise } from "./practice";
import { buffersOf, type Decoded, fetchBytes, Matcher, ownTrace } from "./tracework";

export type Request = { type: "open"; key: number; id: string } | { type: "match"; key: number; sequence: number; text: string } | { type: "close" };

export type Answer =
  | { type: "ready" }
  | { type: "opened"; key: number; decoded: Decoded | undefined; note: string }
  | { type: "failed"; key: number; message: string }
  | { type: "matched"; key: number; sequence: number; matches: Uint8Array }
  | { type: "refused"; key: number; sequence: number; message: string };

let matcher: { key: number; of: Matcher } | undefined;
let request = new AbortController();

addEventListener("message", (event: MessageEvent<Request>) => {
  const asked = event.data;
  if (asked.type === "open") void open(asked.key, asked.id);
  else if (asked.type === "match") answerMatch(asked.key, asked.sequence, asked.text);
  else matcher = undefined;
});

/** How often to practise before the first trace is asked for. */
let practices = 8;

function practiseNext(): void {
  if (practices === 0) return;
  practise();
  practices--;
  if (practices === 0) send({ type: "ready" });
  else setTimeout(practiseNext);
}
setTimeout(practiseNext);

async function open(key: number, id: string): Promise<void> {
  practices = 0;
  request.abort();
  request = new AbortController();
  const { signal } = request;
  matcher = undefined;
  try {
    const { decoded, note } = await fetchBytes(id, signal);
    if (signal.aborted) return;
    if (!decoded) return send({ type: "opened", key, decoded, note });
    const own = ownTrace(decoded);
    send({ type: "opened", key, decoded, note }, buffersOf(decoded));
    const made = { key, of: new Matcher(own) };
    matcher = made;
    // Prepared ahead, in steps, so that a filter is answered meanwhile.
    const prepare = (): void => {
      if (made === matcher && !made.of.prepare(10_000)) setTimeout(prepare);
    };
    setTimeout(prepare);
  } catch (err) {
    if (!signal.aborted) send({ type: "failed", key, message: (err as Error).message });
  }
}

function answerMatch(key: number, sequence: number, text: string): void {
  if (matcher?.key !== key) return;
  try {
    const matches = matcher.of.match(text);
    send({ type: "matched", key, sequence, matches }, [matches.buffer]);
  } catch (err) {
    send({ type: "refused", key, sequence, message: (err as Error).message });
  }
}

function send(answer: Answer, transfer: Transferable[] = []): void {
  postMessage(answer, { transfer });
}
