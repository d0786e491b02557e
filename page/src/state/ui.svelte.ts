// State of the page itself: theme, help, announcements, and the links that its server knows.

import type { Theme } from "../model/colour";
import { setZone, type Zone } from "../model/format";
import { fetchInfo, type Info } from "./api";
import { chooseTheme, currentTheme, onSystemTheme } from "./theme";

const zoneKey = "etude.zone";

function rememberedZone(): Zone {
  let found: string | null = null;
  try {
    found = localStorage.getItem(zoneKey);
  } catch {
    // Storage is switched off: the reader's own zone.
  }
  const made = found === "utc" ? "utc" : "local";
  setZone(made);
  return made;
}

class Ui {
  theme = $state<Theme>(currentTheme());
  /** undefined until it is known; {} where it cannot be known. */
  info = $state.raw<Info | undefined>();
  zone = $state<Zone>(rememberedZone());
  helpOpen = $state(false);
  paletteOpen = $state(false);
  /** The text for screen readers. */
  announcement = $state("");

  start(): void {
    onSystemTheme(() => (this.theme = currentTheme()));
    fetchInfo().then(
      (info) => (this.info = info),
      () => (this.info = {}), // Without links the page still works: it hides the links that it does not know.
    );
  }

  /** Everything that shows a time is redrawn: App.svelte keys its content by the zone. */
  setZone(to: Zone): void {
    setZone(to);
    this.zone = to;
    try {
      localStorage.setItem(zoneKey, to);
    } catch {
      // Storage is switched off: the choice lasts as long as the page.
    }
  }

  setTheme(theme: Theme): void {
    chooseTheme(theme);
    this.theme = theme;
  }
}

export const ui = new Ui();
