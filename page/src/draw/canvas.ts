// Canvases that stay sharp on any screen.

import type { CssPixels } from "../model/units";

/** Sizes a canvas for the screen and returns a cleared context whose unit is the CSS pixel. */
export function prepare(canvas: HTMLCanvasElement, width: CssPixels, height: CssPixels): CanvasRenderingContext2D {
  const scale = window.devicePixelRatio || 1;
  const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d")!;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** The colours of the chrome of a drawing, which do not depend on services. */
export interface Ink {
  text: string;
  faint: string;
  line: string;
  error: string;
}

export const inks: Record<"light" | "dark", Ink> = {
  light: { text: "#4c5464", faint: "#6b7385", line: "#e3e6ec", error: "#c81e3a" },
  dark: { text: "#b5bccb", faint: "#8d95a6", line: "#2a303c", error: "#ff6b81" },
};
