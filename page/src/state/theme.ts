// Dark or light: the system's preference unless the reader chose. public/theme.js applies the choice before the first
// paint; this file keeps it.

import type { Theme } from "../model/colour";

const key = "etude.theme";
const prefersDark = matchMedia("(prefers-color-scheme: dark)");

export function currentTheme(): Theme {
  const chosen = document.documentElement.dataset["theme"];
  return chosen === "dark" || chosen === "light" ? chosen : prefersDark.matches ? "dark" : "light";
}

export function chooseTheme(theme: Theme): void {
  document.documentElement.dataset["theme"] = theme;
  try {
    localStorage.setItem(key, theme);
  } catch {
    // Storage is switched off: the choice lasts as long as the page.
  }
}

export function onSystemTheme(changed: () => void): void {
  prefersDark.addEventListener("change", changed);
}
