// Queries that were run, newest first, and those that the reader kept. They stay in this browser.

const key = "etude.queries";
const most = 30;

export interface Remembered {
  query: string;
  kept: boolean;
}

export function remembered(): Remembered[] {
  try {
    const read: unknown = JSON.parse(localStorage.getItem(key) ?? "[]");
    return Array.isArray(read) ? read.filter((r): r is Remembered => typeof (r as Remembered | null)?.query === "string").map((r) => ({ query: r.query, kept: r.kept === true })) : [];
  } catch {
    return []; // Storage is switched off, or holds something else.
  }
}

/** Kept queries stay; of the others the newest are remembered. */
export function remember(query: string): void {
  const text = query.trim();
  if (text === "" || text === "{}") return;
  const old = remembered();
  write([{ query: text, kept: old.some((r) => r.query === text && r.kept) }, ...old.filter((r) => r.query !== text)]);
}

export function keep(query: string, kept: boolean): void {
  write(remembered().map((r) => (r.query === query ? { ...r, kept } : r)));
}

function write(list: Remembered[]): void {
  const others = list.filter((r) => !r.kept).slice(0, most);
  try {
    localStorage.setItem(key, JSON.stringify(list.filter((r) => r.kept || others.includes(r))));
  } catch {
    // Storage is switched off: nothing is remembered.
  }
}
