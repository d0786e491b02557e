// A trace that the address names, asked for before the page's program is here: its fetch and decoding need only the
// Worker. What comes meanwhile is kept until the program takes it over.

import type { Answer, Request } from "./traceworker";

export interface Early {
  worker: Worker;
  id: string;
  answers: Answer[];
}

/** The key of the early question; later ones count up from it. */
export const earlyKey = 1;

export function startEarly(makeWorker: () => Worker): Early | undefined {
  const id = earlyTrace(location.pathname, location.search);
  if (id === "") return undefined;
  const early: Early = { worker: makeWorker(), id, answers: [] };
  early.worker.onmessage = (event: MessageEvent<Answer>) => early.answers.push(event.data);
  const question: Request = { type: "open", key: earlyKey, id };
  early.worker.postMessage(question);
  return early;
}

/** The trace in an address, or "". Addresses of an older form are left to url.ts. */
export function earlyTrace(path: string, search: string): string {
  const named = /^\/trace\/([0-9a-f]{1,32})$/i.exec(path)?.[1] ?? (path === "/explore" ? (new URLSearchParams(search).get("trace") ?? "") : "");
  return /^[0-9a-f]{1,32}$/i.test(named) ? named : "";
}
