// Where in the demo's source a span comes from, as GET /api/etude/source/{service} tells it.

export interface Mark {
  line: number;
  kind: string;
  name?: string;
  /** The event that an attribute belongs to. */
  of?: string;
}

export interface Lesson {
  file: string;
  lines: string[];
  spans: Record<string, { first: number; last: number; marks: Mark[] }>;
  /** Lines for all spans of the service: its resource and its scope. */
  setup: Mark[];
}

export function marksOf(marks: Mark[], line: number): Mark[] {
  return marks.filter((m) => m.line === line);
}

/** The addition of a line to the span, in a few words. */
export function sayMark({ kind, name = "", of }: Mark): string {
  switch (kind) {
    case "start":
      return "the span starts";
    case "end":
      return "it ends";
    case "kind":
      return "its kind";
    case "parent":
      return "its parent, out of the headers";
    case "inject":
      return "its id, into the headers";
    case "status":
      return name === "" ? "status error, when it fails" : `status: ${name}`;
    case "error":
      return "event exception, when it fails";
    case "attribute":
      return of ? `${name} of the event` : `attribute ${name}`;
    default:
      return `${kind} ${name}`.trim();
  }
}
