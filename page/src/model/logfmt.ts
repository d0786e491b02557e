// The Tags field: logfmt pairs such as  os.type="linux" process.pid=42 error=true

export interface Pair {
  key: string;
  /** undefined for a key without a value. */
  value: string | undefined;
  quoted: boolean;
}

/** Splits logfmt into pairs. Throws an Error with the position (from 1) of what cannot be read. */
export function parseLogfmt(text: string): Pair[] {
  const pairs: Pair[] = [];
  let at = 0;
  while ((at = skipBlanks(text, at)) < text.length) {
    const [key, afterKey] = text[at] === '"' ? readQuoted(text, at) : readBare(text, at, /[\s=]/);
    if (key === "") throw new Error(`expected a tag name at position ${at + 1}, found "="`);
    if (text[afterKey] !== "=") {
      pairs.push({ key, value: undefined, quoted: false });
      at = afterKey;
      continue;
    }
    const quoted = text[afterKey + 1] === '"';
    const [value, end] = quoted ? readQuoted(text, afterKey + 1) : readBare(text, afterKey + 1, /\s/);
    if (!quoted && value === "") throw new Error(`${key}= has no value at position ${afterKey + 2}; write ${key}="" for the empty text`);
    pairs.push({ key, value, quoted });
    at = end;
  }
  return pairs;
}

function skipBlanks(text: string, at: number): number {
  while (at < text.length && /\s/.test(text[at]!)) at++;
  return at;
}

function readBare(text: string, from: number, stop: RegExp): [string, number] {
  let end = from;
  while (end < text.length && !stop.test(text[end]!)) end++;
  return [text.slice(from, end), end];
}

function readQuoted(text: string, from: number): [string, number] {
  let value = "";
  for (let at = from + 1; at < text.length; at++) {
    const c = text[at]!;
    if (c === '"') return [value, at + 1];
    if (c === "\\" && at + 1 < text.length) value += unescaped(text[++at]!);
    else value += c;
  }
  throw new Error(`the quote at position ${from + 1} is not closed`);
}

function unescaped(c: string): string {
  return { n: "\n", t: "\t", r: "\r" }[c] ?? c;
}
