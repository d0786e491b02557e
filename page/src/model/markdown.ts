// The little Markdown that lessons are written in: headings, paragraphs, lists, code, and within a line code, strong
// and emphasis, links. Other syntax stays text; nothing becomes HTML.

export type Inline = { kind: "text" | "code" | "strong" | "em"; text: string } | { kind: "link"; text: string; href: string };

export type Block =
  | { kind: "heading"; level: number; inline: Inline[] }
  | { kind: "paragraph"; inline: Inline[] }
  | { kind: "list"; ordered: boolean; start: number; items: Inline[][] }
  | { kind: "code"; text: string };

const itemStart = /^\s{0,3}(?:[-*]|(\d+)[.)])\s+(.*)$/;

export function parseMarkdown(text: string): Block[] {
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  const made: Block[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at]!;
    const fence = /^\s{0,3}(```+|~~~+)/.exec(line)?.[1];
    const heading = /^(#{1,6})\s+(.*?)\s*#*$/.exec(line);
    if (line.trim() === "") at++;
    else if (fence !== undefined) {
      const end = lines.findIndex((l, i) => i > at && l.trim().startsWith(fence));
      made.push({ kind: "code", text: lines.slice(at + 1, end < 0 ? undefined : end).join("\n") });
      at = end < 0 ? lines.length : end + 1;
    } else if (heading) {
      made.push({ kind: "heading", level: heading[1]!.length, inline: parseInline(heading[2]!) });
      at++;
    } else if (itemStart.test(line)) at = readList(lines, at, made);
    else {
      const end = endOf(lines, at);
      made.push({ kind: "paragraph", inline: parseInline(joined(lines.slice(at, end))) });
      at = end;
    }
  }
  return made;
}

/** Where a paragraph or an item ends: at an empty line, or where something else begins. */
function endOf(lines: string[], from: number): number {
  let end = from + 1;
  while (end < lines.length && lines[end]!.trim() !== "" && !itemStart.test(lines[end]!) && !/^(#{1,6}\s|\s{0,3}(```|~~~))/.test(lines[end]!)) end++;
  return end;
}

function readList(lines: string[], from: number, made: Block[]): number {
  const number = itemStart.exec(lines[from]!)![1];
  const items: Inline[][] = [];
  let at = from;
  for (let item = itemStart.exec(lines[at]!); item && (item[1] === undefined) === (number === undefined); item = itemStart.exec(lines[at] ?? "")) {
    const end = endOf(lines, at);
    items.push(parseInline(joined([item[2]!, ...lines.slice(at + 1, end)])));
    at = end;
    // An empty line between two items does not end the list.
    if (lines[at]?.trim() === "" && itemStart.test(lines[at + 1] ?? "")) at++;
  }
  made.push({ kind: "list", ordered: number !== undefined, start: Number(number ?? 1), items });
  return at;
}

function joined(lines: string[]): string {
  return lines.map((l) => l.trim()).join(" ");
}

/** A text whose lines were broken for a file: paragraphs become one line each, what is indented stays. */
export function unwrapped(text: string): string {
  return text.trimEnd().replace(/(?<=^\S.*)\n(?=\S)/gm, " ");
}

const marks = /(`+)(.+?)\1|\*\*(.+?)\*\*|\*([^\s*](?:[^*]*[^\s*])?)\*|\[([^\]]+)\]\(([^()\s]+)\)/;

function parseInline(text: string): Inline[] {
  const made: Inline[] = [];
  let rest = text;
  for (let found = marks.exec(rest); found; found = marks.exec(rest)) {
    if (found.index > 0) made.push({ kind: "text", text: rest.slice(0, found.index) });
    const [all, , code, strong, em, label, href] = found;
    if (code !== undefined) made.push({ kind: "code", text: code.trim() });
    else if (strong !== undefined) made.push({ kind: "strong", text: strong });
    else if (em !== undefined) made.push({ kind: "em", text: em });
    else if (safe(href!)) made.push({ kind: "link", text: label!, href: href! });
    else made.push({ kind: "text", text: label! });
    rest = rest.slice(found.index + all.length);
  }
  if (rest !== "") made.push({ kind: "text", text: rest });
  return made;
}

/** Links lead to this page or to the web, and never run anything. */
function safe(href: string): boolean {
  return /^(https?:\/\/|\/(?!\/)|#)/.test(href);
}
