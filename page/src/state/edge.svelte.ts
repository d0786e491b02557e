// The store of the edge's dashboard. It asks the edge once a second, while the page can be seen.

import type { Theme } from "../model/colour";
import type { EntryPoint, RawData, Stats } from "../model/edge";
import { chooseTheme, currentTheme, onSystemTheme } from "./theme";

const interval = 1000; // ms
const patience = 10_000; // ms

interface Seen {
  raw: RawData;
  entryPoints: EntryPoint[];
  stats: Stats;
  version: { Version: string };
}

class EdgeState {
  /** The last answers, all of one round. */
  seen = $state.raw<Seen>();
  /** Whether the edge does not answer: what is seen is then old. */
  stale = $state(false);
  theme = $state<Theme>(currentTheme());

  start(): void {
    onSystemTheme(() => (this.theme = currentTheme()));
    void this.#loop();
  }

  setTheme(theme: Theme): void {
    chooseTheme(theme);
    this.theme = theme;
  }

  async #loop(): Promise<void> {
    if (!document.hidden) {
      try {
        this.seen = await ask();
        this.stale = false;
      } catch {
        this.stale = true;
      }
    }
    setTimeout(() => void this.#loop(), interval);
  }
}

async function ask(): Promise<Seen> {
  const signal = AbortSignal.timeout(patience);
  const [raw, entryPoints, stats, version] = await Promise.all(["rawdata", "entrypoints", "stats", "version"].map((name) => get(`/api/${name}`, signal)));
  return { raw, entryPoints, stats, version } as Seen;
}

async function get(path: string, signal: AbortSignal): Promise<unknown> {
  const answer = await fetch(path, { cache: "no-store", signal });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

export const edge = new EdgeState();
