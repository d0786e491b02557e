// One request's way through the demo, read from the services' output. They print each request's headers, and what
// they do around a call; that is all a person without a trace has. Nothing here knows of spans.
//
// Lines of several requests may be mixed. A request is told from others by X-Request-Id, which the edge passes on to the
// first service. The first service passes on only the ids of the trace, if it passes on any: the second service's
// request is found by them, and where there are none it is a guess, the first one after the call.

export interface Line {
  /** Counts up over all parts. */
  n: number;
  /** When etude read the line, in microseconds since 1970. */
  us: number;
  part: string;
  text: string;
}

export interface Header {
  name: string;
  value: string;
}

/** One request as a service printed it. */
export interface Printed {
  part: string;
  us: number;
  n: number;
  headers: Header[];
}

/** The known facts about one service's part in the request. */
export interface Hop {
  service: string;
  /** undefined until it has printed the request. */
  request: Printed | undefined;
  /** How the request was recognised: by X-Request-Id, by the id of the trace, or only by its time. */
  by: "request id" | "trace id" | "time";
  /** Its lines since, without the headers and without the answer's body. */
  lines: Line[];
  /** When it said so, in microseconds since 1970; undefined until it did. */
  calling: number | undefined;
  answered: number | undefined;
}

const begin = "Request: {";
const headerLine = /^\s*"((?:[^"\\]|\\.)*)":\s*"((?:[^"\\]|\\.)*)",?$/;

/** The requests that the lines hold, in their order. A request without its end yet is left out. */
export function requestsOf(lines: Line[]): Printed[] {
  const made: Printed[] = [];
  const open = new Map<string, Printed>();
  for (const line of lines) {
    const at = open.get(line.part);
    if (line.text === begin) open.set(line.part, { part: line.part, us: line.us, n: line.n, headers: [] });
    else if (at && line.text === "}") {
      made.push(at);
      open.delete(line.part);
    } else if (at) {
      const [, name, value] = headerLine.exec(line.text) ?? [];
      if (name !== undefined && value !== undefined) at.headers.push({ name: unquoted(name), value: unquoted(value) });
    }
  }
  return made;
}

/** Undoes the escapes of Go's %q that JSON has as well; others stay as they are. */
function unquoted(text: string): string {
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    return text;
  }
}

export function headerOf(request: Printed | undefined, name: string): string {
  return request?.headers.find((h) => h.name === name)?.value ?? "";
}

/** The id of the trace that a request belongs to, without leading zeros; "" where no header has one. */
export function traceOf(request: Printed | undefined): string {
  const id = headerOf(request, "uber-trace-id").split(":")[0] || headerOf(request, "traceparent").split("-")[1] || headerOf(request, "x-b3-traceid") || headerOf(request, "b3").split("-")[0] || "";
  return id.toLowerCase().replace(/^0+/, "");
}

/** A second replica of a service has its name and a letter. */
function isOf(part: string, service: string): boolean {
  return part === service || part === `${service}b`;
}

/** The way of the request with an X-Request-Id through two services. */
export function hopsOf(lines: Line[], id: string, first: string, second: string): [Hop, Hop] {
  const requests = requestsOf(lines);
  const entry = requests.find((r) => isOf(r.part, first) && headerOf(r, "x-request-id") === id);
  const one = hop(first, entry, "request id", lines);
  if (!entry) return [one, hop(second, undefined, "time", lines)];
  const trace = traceOf(entry);
  const byTrace = requests.find((r) => isOf(r.part, second) && traceOf(r) !== "" && traceOf(r) === trace);
  const byTime = one.calling === undefined ? undefined : requests.find((r) => isOf(r.part, second) && r.us >= one.calling! - slack && !passesOtherTrace(r, requests, first, trace));
  return [one, hop(second, byTrace ?? byTime, byTrace ? "trace id" : "time", lines)];
}

/** Lines of two processes come by two pipes: the later one may be read first. */
const slack = 5000;

/** Whether a request belongs to the trace of another request that the first service has printed. */
function passesOtherTrace(r: Printed, requests: Printed[], first: string, trace: string): boolean {
  const id = traceOf(r);
  return id !== "" && id !== trace && requests.some((other) => isOf(other.part, first) && traceOf(other) === id);
}

function hop(service: string, request: Printed | undefined, by: Hop["by"], all: Line[]): Hop {
  const lines = request ? spoken(all.filter((l) => l.part === request.part && l.n >= request.n)) : [];
  return {
    service,
    request,
    by,
    lines,
    calling: lines.find((l) => l.text.startsWith("Calling "))?.us,
    answered: lines.find((l) => l.text.startsWith("Got response"))?.us,
  };
}

/** The lines without those of requests and bodies, up to the next request. */
function spoken(lines: Line[]): Line[] {
  const made: Line[] = [];
  let inRequest = false;
  let inBody = false;
  for (const [i, line] of lines.entries()) {
    if (line.text.startsWith("Listening on ")) break; // it was started again
    if (line.text === begin) {
      if (i > 0) break;
      inRequest = true;
    } else if (inRequest) inRequest = line.text !== "}";
    else if (line.text.startsWith("Body:")) {
      inBody = true;
      made.push({ ...line, text: "Body: (the page)" });
    } else if (!inBody) made.push(line);
    else inBody = !/<\/html>/i.test(line.text);
  }
  return made;
}

/** One field of a header that carries a trace. */
export interface Field {
  /** Its meaning: "trace", "span", "parent", "sampled", "version". */
  what: string;
  /** As written. */
  text: string;
  /** Leading zeros that only fill the field up. */
  zeros: string;
  /** The id without them; "" for a field that is no id. */
  id: string;
}

export interface XRay {
  header: string;
  /** The text between the fields. */
  separator: string;
  fields: Field[];
}

const forms: Record<string, { separator: string; whats: string[] }> = {
  "uber-trace-id": { separator: ":", whats: ["trace", "span", "parent", "flags"] },
  traceparent: { separator: "-", whats: ["version", "trace", "span", "flags"] },
  b3: { separator: "-", whats: ["trace", "span", "sampled", "parent"] },
  "x-b3-traceid": { separator: "", whats: ["trace"] },
  "x-b3-spanid": { separator: "", whats: ["span"] },
  "x-b3-parentspanid": { separator: "", whats: ["parent"] },
};

/** The headers of a request that carry a trace, field by field. */
export function xrayOf(request: Printed | undefined): XRay[] {
  return (request?.headers ?? []).flatMap((h): XRay[] => {
    const form = forms[h.name];
    if (!form) return [];
    const parts = form.separator === "" ? [h.value] : h.value.split(form.separator);
    return [{ header: h.name, separator: form.separator, fields: parts.map((text, i) => fieldOf(form.whats[i] ?? "", text)) }];
  });
}

function fieldOf(what: string, text: string): Field {
  const isId = /^(trace|span|parent)$/.test(what) && /^[0-9a-f]+$/i.test(text) && !/^0+$/.test(text);
  const id = isId ? text.toLowerCase().replace(/^0+/, "") : "";
  // Only whole blocks of zeros fill up; an id may begin with a zero of its own.
  const zeros = isId && text.length === 32 && text.startsWith("0".repeat(16)) ? text.slice(0, 16) : "";
  return { what, text: text.slice(zeros.length), zeros, id };
}

/** Numbers each id that any header has, in the order of reading: equal ids get equal numbers. */
export function numbered(xrays: XRay[]): Map<string, number> {
  const made = new Map<string, number>();
  for (const { fields } of xrays) for (const { id } of fields) if (id !== "" && !made.has(id)) made.set(id, made.size);
  return made;
}
