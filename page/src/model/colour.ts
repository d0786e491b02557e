// Colours of services. A name alone chooses its colour, so that a service looks the same on every page; inside one
// trace, services whose names choose the same colour are moved apart.

export type Theme = "light" | "dark";

/** Each at least 3:1 against the page in its theme. No red: red means error. */
const palettes: Record<Theme, string[]> = {
  light: ["#2f6fde", "#b4530a", "#0b857a", "#b8328f", "#3c8420", "#7a4fd0", "#0a7ba3", "#8d6135", "#8a6d05", "#5a6b85", "#647800", "#4458b8"],
  dark: ["#6ea8ff", "#ff9f4a", "#3fd0bd", "#f27ccf", "#86d45c", "#b596ff", "#4cc3ec", "#d3a574", "#e3c341", "#9db0cc", "#bfd238", "#8fa0ff"],
};

/** FNV-1a, seeded so that the demo's five services get five different colours. */
export function colourIndex(service: string): number {
  let hash = seed;
  for (let i = 0; i < service.length; i++) {
    hash = Math.imul(hash ^ service.charCodeAt(i), 0x01000193) >>> 0;
  }
  return ((hash ^ (hash >>> 15)) >>> 0) % palettes.light.length;
}

const seed = 1055;

export function serviceColour(service: string, theme: Theme): string {
  return palettes[theme][colourIndex(service)]!;
}

/**
 * A colour for each service of one trace, all different. Each keeps its own colour where that is free; later ones take
 * the next free one, and past the palette hues in between, which go on for ever.
 */
export function distinctColours(services: string[], theme: Theme): string[] {
  const palette = palettes[theme];
  const taken = new Set<number>();
  const made = services.map((name) => {
    const own = colourIndex(name);
    if (taken.has(own)) return undefined;
    taken.add(own);
    return palette[own]!;
  });
  const free = palette.filter((_, i) => !taken.has(i));
  let extra = 0;
  return made.map((colour) => colour ?? free.shift() ?? hue(extra++, theme));
}

/** Steps of the golden angle: neighbours in the list are far apart on the wheel. Reds, which mean error, are left out. */
function hue(index: number, theme: Theme): string {
  const angle = 45 + ((20 + index * 137.508) % 300);
  const [lightness, chroma] = theme === "light" ? [0.5 + 0.06 * (index % 2), 0.13] : [0.74 + 0.08 * (index % 2), 0.12];
  return `oklch(${lightness} ${chroma} ${angle.toFixed(1)})`;
}

/** Colours for lines that are not services, neighbours far apart. */
export function lineColour(index: number, theme: Theme): string {
  return palettes[theme][(index * 5) % palettes.light.length]!;
}

const dashes: number[][] = [[], [7, 4], [2, 3], [9, 3, 2, 3]];

/** The dashes that tell a line from earlier ones of the same colour. */
export function dashesFor(colours: string[]): number[][] {
  const seen = new Map<string, number>();
  return colours.map((colour) => {
    const place = seen.get(colour) ?? 0;
    seen.set(colour, place + 1);
    return dashes[place % dashes.length]!;
  });
}
