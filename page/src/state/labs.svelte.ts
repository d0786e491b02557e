// The labs: the list, the learner's input, and the last check's verdict.

import { askedJson } from "./answers";

export interface Lab {
  id: string;
  number: number;
  title: string;
  minutes: number;
  state: "new" | "started" | "done";
  hints: number;
  ofHints: number;
  answer: "text" | "choice" | "query" | "lines" | "none";
  question: string;
  choices?: string[];
  /** The text of the start. */
  says?: string;
  /** A folder on disk to work in. */
  where?: string;
  /** Markdown; only of a single lab. */
  lesson?: string;
  /** Markdown, once it is done. */
  solution?: string;
}

export interface CheckVerdict {
  name: string;
  outcome: "pass" | "fail";
  wanted: string;
  found: string;
  nearest?: string;
  traces?: string[];
}

export interface Checked {
  passed: boolean;
  says: string;
  verdicts?: CheckVerdict[];
}

/** The state of a lab while the page is open, so that a visit to Explore loses nothing. */
export interface Work {
  answer: string;
  checked: Checked | undefined;
  hints: string[];
}

class Labs {
  all = $state.raw<Lab[]>([]);
  next = $state("");
  current = $state.raw<Lab | undefined>();
  work = $state<Record<string, Work>>({});
  /** The step that is under way: "start", "check", "hint", "reset", "load", or "". */
  doing = $state("");
  error = $state("");
  /** The lab that the reader has open. */
  #wanted = "";

  workOf(id: string): Work {
    return this.work[id] ?? { answer: "", checked: undefined, hints: [] };
  }

  type(id: string, answer: string): void {
    this.work[id] = { ...this.workOf(id), answer };
  }

  async load(): Promise<void> {
    const found = await this.#ask<{ labs: Lab[]; next: string }>("load", "");
    if (found) Object.assign(this, { all: found.labs, next: found.next });
  }

  async open(id: string): Promise<void> {
    this.#wanted = id;
    if (this.current?.id !== id) this.current = undefined;
    await this.#read(id);
  }

  /** Reads a lab and the list again. A lab that the reader has left meanwhile does not come back. */
  async #read(id: string): Promise<void> {
    const found = await this.#ask<Lab>("load", `/${encodeURIComponent(id)}`);
    if (found && this.#wanted === id) this.current = found;
    await this.load();
  }

  async start(id: string): Promise<void> {
    const found = await this.#ask<{ says: string; lab: Lab }>("start", `/${encodeURIComponent(id)}/start`, {});
    if (found) this.#take({ ...found.lab, says: found.says });
  }

  async check(id: string): Promise<void> {
    const found = await this.#ask<Checked & { lab: Lab }>("check", `/${encodeURIComponent(id)}/check`, { answer: this.workOf(id).answer });
    if (!found) return;
    this.work[id] = { ...this.workOf(id), checked: found };
    this.#take(found.lab);
    // The solution comes with the lab once it is done; the list says which is the next one.
    if (found.passed) await this.#read(id);
  }

  async hint(id: string): Promise<void> {
    const found = await this.#ask<{ hint: string; number: number; lab: Lab }>("hint", `/${encodeURIComponent(id)}/hint`, {});
    if (!found) return;
    const hints = [...this.workOf(id).hints];
    hints[found.number - 1] = found.hint;
    this.work[id] = { ...this.workOf(id), hints };
    this.#take(found.lab);
  }

  async reset(id: string): Promise<void> {
    const found = await this.#ask<{ lab: Lab }>("reset", `/${encodeURIComponent(id)}/reset`, {});
    if (!found) return;
    delete this.work[id];
    if (this.#wanted === id) this.current = undefined;
    await this.#read(id);
  }

  /** Takes over what an answer says of the lab; its text is not in it. */
  #take(lab: Lab): void {
    if (this.current?.id === lab.id) this.current = { ...this.current, ...lab };
    this.all = this.all.map((l) => (l.id === lab.id ? { ...l, ...lab } : l));
  }

  async #ask<T>(doing: string, path: string, body?: unknown): Promise<T | undefined> {
    this.doing = doing;
    this.error = "";
    try {
      const init = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
      return (await askedJson(`/api/etude/labs${path}`, init)) as T;
    } catch (err) {
      this.error = err instanceof Error ? err.message : String(err);
      return undefined;
    } finally {
      this.doing = "";
    }
  }
}

export const labs = new Labs();
