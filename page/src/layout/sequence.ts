// A sequence diagram as SVG text: the same for the page and for a file, so it carries its own colours and no styles.

import type { Sequence } from "../model/sequence";
import { formatDuration } from "../model/format";
import { visible } from "../model/text";
import type { CssPixels } from "../model/units";

export interface SequenceInk {
  text: string;
  faint: string;
  line: string;
  error: string;
  panel: string;
}

const head: CssPixels = 34;
const step: CssPixels = 34;
const left: CssPixels = 74;
/** Lifelines that are further apart are harder to read along a message, not easier. */
const furthest: CssPixels = 420;

/** room is the width to fill; the diagram is wider where its names need it, and narrower where it has few participants. */
export function sequenceSvg(s: Sequence, colourOf: (participant: string) => string | undefined, ink: SequenceInk, room: CssPixels = 0): string {
  const least = Math.max(120, ...s.participants.map((p) => p.length * 7.4 + 40));
  const apart = Math.max(least, Math.min(furthest, (room - left - 20) / Math.max(1, s.participants.length)));
  const width = Math.floor(left + apart * s.participants.length + 20);
  const height = head + 30 + s.messages.length * step + 20;
  const x = (i: number): number => left + apart * (i + 0.5);
  const parts: string[] = [];
  s.participants.forEach((name, i) => {
    const colour = colourOf(name) ?? ink.faint;
    parts.push(line(x(i), head, x(i), height - 10, ink.line));
    const w = Math.min(apart - 12, name.length * 7.4 + 28);
    parts.push(`<rect x="${x(i) - w / 2}" y="4" width="${w}" height="${head - 8}" rx="6" fill="${ink.panel}" stroke="${colour}" stroke-width="2"/>`);
    parts.push(words(x(i), 22, name, ink.text, "middle", 13, 600));
  });
  s.messages.forEach((m, k) => {
    const y = head + 30 + k * step;
    const colour = m.error ? ink.error : ink.text;
    const self = m.from === m.to;
    const [a, b] = [x(m.from), self ? x(m.to) + 40 : x(m.to)];
    const way = b > a ? 1 : -1;
    const dash = m.type === "call" ? "" : ' stroke-dasharray="5 4"';
    parts.push(`<g data-span="${m.span}"><rect x="0" y="${y - 22}" width="${width}" height="${step}" fill="transparent"/>`);
    parts.push(words(left - 12, y + 4, formatDuration(m.time), ink.faint, "end", 11, 400));
    parts.push(`<line x1="${a}" y1="${y}" x2="${b - way * 7}" y2="${y}" stroke="${colour}" stroke-width="1.5"${dash}/>`);
    parts.push(`<path d="M${b} ${y}l${-way * 9} -4.5v9z" fill="${m.type === "message" ? "none" : colour}" stroke="${colour}"/>`);
    parts.push(words((a + b) / 2, y - 6, shortened(m.label, Math.abs(b - a) / 6.4) + (m.error ? " ✕" : ""), colour, "middle", 12, 400));
    parts.push("</g>");
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" role="img" aria-label="Sequence diagram of ${s.participants.length} participants and ${s.messages.length} messages">${parts.join("")}</svg>`;
}

function line(x1: number, y1: number, x2: number, y2: number, stroke: string): string {
  return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${stroke}"/>`;
}

function words(x: number, y: number, text: string, fill: string, anchor: string, size: number, weight: number): string {
  return `<text x="${x}" y="${y}" fill="${fill}" text-anchor="${anchor}" font-size="${size}" font-weight="${weight}">${escaped(visible(text))}</text>`;
}

function shortened(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, Math.max(1, Math.floor(most) - 1))}…`;
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}
