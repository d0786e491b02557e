// The switches of the demo: faults on purpose.

import { askedJson } from "./answers";

export interface Switch {
  name: string;
  title: string;
  does: string;
  see: string;
  parts: string[];
  on: boolean;
}

class Switches {
  all = $state.raw<Switch[]>([]);
  /** The switch that is being turned, "all" while everything is put back, "" for none. */
  turning = $state("");
  error = $state("");

  readonly on = $derived(this.all.filter((s) => s.on));

  async load(): Promise<void> {
    await this.#ask("", { method: "GET" });
  }

  async turn(name: string, on: boolean): Promise<void> {
    await this.#set(name, on ? [...this.on.map((s) => s.name), name] : this.on.map((s) => s.name).filter((n) => n !== name));
  }

  async putBack(): Promise<void> {
    await this.#set("all", []);
  }

  async #set(turning: string, on: string[]): Promise<void> {
    if (this.turning === "") await this.#ask(turning, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ on }) });
  }

  async #ask(turning: string, init: RequestInit): Promise<void> {
    this.turning = turning;
    this.error = "";
    try {
      this.all = ((await askedJson("/api/etude/switches", init)) as { switches: Switch[] }).switches;
    } catch (err) {
      this.error = err instanceof Error ? err.message : String(err);
    } finally {
      this.turning = "";
    }
  }
}

export const switches = new Switches();
