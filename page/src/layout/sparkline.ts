// A line without axes, for one cell of a table.

import type { CssPixels } from "../model/units";

/** An SVG path through the values, from 0 at the bottom to the greatest at the top; gaps break it. "" without values. */
export function sparkline(values: (number | null)[], width: CssPixels, height: CssPixels): string {
  const max = values.reduce<number>((a, v) => Math.max(a, v ?? 0), 0);
  const step = values.length > 1 ? width / (values.length - 1) : 0;
  let path = "";
  let pen = false;
  values.forEach((value, i) => {
    if (value !== null) {
      const y = max > 0 ? height - 1 - (value / max) * (height - 2) : height - 1;
      path += `${pen ? "L" : "M"}${(i * step).toFixed(1)} ${y.toFixed(1)}`;
    }
    pen = value !== null;
  });
  return path;
}
