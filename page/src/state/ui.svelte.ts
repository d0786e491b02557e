// State of the page itself: theme, help, announcements, and the links that its server knows.

import type { Theme } from "../model/colour";
import { fetchInfo, type Info } from "./api";
import { chooseTheme, currentTheme, onSystemTheme } from "./theme";

class Ui {
  theme = $state<Theme>(currentTheme());
  /** undefined until it is known; {} where it cannot be known. */
  info = $state.raw<Info | undefined>();
  helpOpen = $state(false);
  paletteOpen = $state(false);
  /** What a screen reader is told. */
  announcement = $state("");

  start(): void {
    onSystemTheme(() => (this.theme = currentTheme()));
    fetchInfo().then(
      (info) => (this.info = info),
      () => (this.info = {}), // Without links the page still works: it hides the links that it does not know.
    );
  }

  setTheme(theme: Theme): void {
    chooseTheme(theme);
    this.theme = theme;
  }
}

export const ui = new Ui();
