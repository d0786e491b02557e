// Texts from strangers, made safe to read: invisible and direction-changing characters are shown by name, and
// JSON, SQL and stack traces are set in their own form.

/** Controls (but not tab and line feed), soft hyphen, zero-width characters, bidirectional overrides and isolates, byte order mark. */
const hidden = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;

/** The text with each invisible character as ⟨U+202E⟩, so that a value cannot look like another. */
export function visible(text: string): string {
  return text.replace(hidden, (c) => `⟨U+${c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

export type Form = "text" | "url" | "json" | "sql" | "stack";

/** How a value is best set. */
export function formOf(key: string, text: string): Form {
  if (/^https?:\/\/\S+$/.test(text)) return "url";
  if (/stack_?trace$/i.test(key)) return "stack";
  if (/^db\.(statement|query\.text)$/.test(key) && /^\s*(select|insert|update|delete|with|create|alter|drop|merge)\b/i.test(text)) return "sql";
  if (/^\s*[[{]/.test(text) && text.length > 2 && isJson(text)) return "json";
  return "text";
}

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === "object";
  } catch {
    return false;
  }
}

/** The text with line breaks where its form has them. Numbers keep their digits: only white space changes. */
export function inForm(form: Form, text: string): string {
  if (form === "json") return indentedJson(text);
  if (form === "sql") return brokenSql(text);
  return text;
}

/** Walks the characters, since parsing and printing would round long numbers. */
function indentedJson(text: string): string {
  let made = "";
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (c === '"') {
      const end = endOfString(text, i);
      made += text.slice(i, end);
      i = end - 1;
    } else if (/\s/.test(c)) continue;
    else if (c === "{" || c === "[") {
      const empty = /^\s*[}\]]/.exec(text.slice(i + 1, i + 40));
      if (empty) {
        made += c + empty[0].trim();
        i += empty[0].length;
      } else made += `${c}\n${"  ".repeat(++depth)}`;
    } else if (c === "}" || c === "]") made += `\n${"  ".repeat(--depth)}${c}`;
    else if (c === ",") made += `,\n${"  ".repeat(depth)}`;
    else made += c === ":" ? ": " : c;
  }
  return made;
}

function endOfString(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === '"') return i + 1;
  }
  return text.length;
}

const clauses = /\s+(?=(?:from|where|(?:left |right |inner |outer |full |cross )*join|group by|order by|having|limit|offset|union(?: all)?|values|set|returning|on conflict)\b)/gi;

/** A line for each clause; text in quotes is left as it is. */
function brokenSql(text: string): string {
  return text
    .trim()
    .split(/('(?:[^']|'')*')/)
    .map((part, i) => (i % 2 === 1 ? part : part.replace(clauses, "\n").replace(/\s+(?=(?:and|or)\b)/gi, "\n  ")))
    .join("");
}

/** The beginning of a long text, or undefined where all of it is short enough. */
export function clamped(text: string, characters = 400, lines = 8): string | undefined {
  const byLines = text.split("\n", lines + 1);
  const cut = byLines.length > lines ? byLines.slice(0, lines).join("\n") : text;
  if (cut.length <= characters * 1.2 && cut.length === text.length) return undefined;
  return cut.length > characters ? cut.slice(0, characters) : cut;
}
