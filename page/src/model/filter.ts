// The language of the filter bar, for the spans of one trace.
//
//   checkout                       a word: in name, service, attributes, events, ids, status message
//   "GET /cart"                    words in order
//   status=error  service=edge  duration>100ms  own>5ms  critical=true  kind=client
//   http.status_code>=500  resource.os.type="linux"  .user=~"a.*"  span.db.system != nil
//   a b   a && b   a || b   !a   (a || b) c   { TraceQL conditions }
//
// Terms side by side must all hold. A condition on an attribute holds where a span (or its resource, scope, an event or
// a link) has the attribute and the comparison is true, as in TraceQL. Braces are read as parentheses, so that a
// spanset filter of TraceQL can be pasted.

import { parseDuration } from "./query";

export type Operator = "=" | "!=" | "=~" | "!~" | "<" | "<=" | ">" | ">=";

export type Literal = { type: "text"; text: string; quoted: boolean } | { type: "number"; value: number; text: string } | { type: "duration"; ns: number; text: string } | { type: "bool"; value: boolean; text: string } | { type: "nil"; text: string };

export type Filter =
  | { type: "all" }
  | { type: "word"; text: string }
  | { type: "condition"; field: string; operator: Operator; value: Literal }
  | { type: "not"; of: Filter }
  | { type: "and" | "or"; left: Filter; right: Filter };

type Token = { type: "word" | "quoted" | "operator" | "and" | "or" | "not" | "open" | "close"; text: string; at: number };

/** Throws an Error that says what is wrong and where. */
export function parseFilter(text: string): Filter {
  const parser = new Parser(tokens(text));
  return parser.whole();
}

const operators = /^(=~|!~|!=|<=|>=|=|<|>)/;

function tokens(text: string): Token[] {
  const made: Token[] = [];
  let at = 0;
  const push = (type: Token["type"], length: number, value = text.slice(at, at + length)): void => {
    made.push({ type, text: value, at });
    at += length;
  };
  while (at < text.length) {
    const rest = text.slice(at);
    const space = /^\s+/.exec(rest);
    if (space) at += space[0].length;
    else if (rest.startsWith("&&")) push("and", 2);
    else if (rest.startsWith("||")) push("or", 2);
    else if (operators.test(rest)) push("operator", operators.exec(rest)![0].length);
    else if (rest[0] === "!") push("not", 1);
    else if (rest[0] === "(" || rest[0] === "{") push("open", 1);
    else if (rest[0] === ")" || rest[0] === "}") push("close", 1);
    else if (rest[0] === '"' || rest[0] === "`") quoted(rest, at, push);
    else push("word", /^(?:(?!&&|\|\|)[^\s"`(){}=<>!])+/.exec(rest)![0].length);
  }
  return made;
}

function quoted(rest: string, at: number, push: (type: "quoted", length: number, value: string) => void): void {
  const found = rest[0] === "`" ? /^`([^`]*)`/.exec(rest) : /^"((?:[^"\\]|\\.)*)"/.exec(rest);
  if (!found) throw new Error(`the text that begins with ${rest[0]} at position ${at + 1} does not end`);
  push("quoted", found[0].length, rest[0] === "`" ? found[1]! : unescaped(found[1]!));
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/g, (_, c: string) => ({ n: "\n", r: "\r", t: "\t" })[c] ?? c);
}

class Parser {
  #at = 0;

  constructor(private readonly tokens: Token[]) {}

  whole(): Filter {
    if (this.tokens.length === 0) return { type: "all" };
    const made = this.or();
    const rest = this.tokens[this.#at];
    if (rest) throw new Error(`${JSON.stringify(rest.text)} at position ${rest.at + 1} closes nothing`);
    return made;
  }

  private peek(): Token["type"] | undefined {
    return this.tokens[this.#at]?.type;
  }

  private or(): Filter {
    let left = this.and();
    while (this.peek() === "or") {
      this.#at++;
      left = { type: "or", left, right: this.and() };
    }
    return left;
  }

  private and(): Filter {
    let left = this.unary();
    for (let next = this.peek(); next !== undefined && next !== "or" && next !== "close"; next = this.peek()) {
      if (next === "and") this.#at++;
      left = { type: "and", left, right: this.unary() };
    }
    return left;
  }

  private unary(): Filter {
    const token = this.tokens[this.#at++];
    if (!token) throw new Error("the filter ends where a word or condition is expected");
    if (token.type === "not") return { type: "not", of: this.unary() };
    if (token.type === "open") return this.group(token);
    if (token.type !== "word" && token.type !== "quoted") throw new Error(`a word or condition is expected at position ${token.at + 1}, not ${JSON.stringify(token.text)}`);
    return this.peek() === "operator" ? this.condition(token) : { type: "word", text: token.text.toLowerCase() };
  }

  private group(open: Token): Filter {
    if (this.peek() === "close") {
      this.#at++;
      return { type: "all" };
    }
    const inner = this.or();
    if (this.peek() !== "close") throw new Error(`${JSON.stringify(open.text)} at position ${open.at + 1} is not closed`);
    this.#at++;
    return inner;
  }

  private condition(field: Token): Filter {
    // A quoted name after a scope, as in span."my key", comes as two tokens only where a space parts them.
    const operator = this.tokens[this.#at++]!;
    const value = this.tokens[this.#at++];
    if (!value || (value.type !== "word" && value.type !== "quoted")) throw new Error(`a value is expected after ${JSON.stringify(operator.text)} at position ${operator.at + 1}`);
    const made: Filter = { type: "condition", field: field.text, operator: operator.text as Operator, value: literal(value) };
    if (made.operator === "=~" || made.operator === "!~") expression(made.value);
    return made;
  }
}

function literal({ type, text }: Token): Literal {
  if (type === "quoted") return { type: "text", text, quoted: true };
  if (text === "true" || text === "false") return { type: "bool", value: text === "true", text };
  if (text === "nil") return { type: "nil", text };
  if (/^-?\d+(\.\d+)?$/.test(text)) return { type: "number", value: Number(text), text };
  if (/^-?(\d+(\.\d*)?(ns|us|µs|μs|ms|s|m|h))+$/.test(text)) return { type: "duration", ns: Number(parseDuration(text.replace("-", ""))), text };
  return { type: "text", text, quoted: false };
}

/** The regular expression of a literal, anchored at both ends as in TraceQL. */
export function expression(value: Literal): RegExp {
  try {
    return new RegExp(`^(?:${value.text})$`, "su");
  } catch (err) {
    throw new Error(`${JSON.stringify(value.text)} is not a regular expression: ${(err as Error).message}`);
  }
}

const scopes = ["resource", "span", "event", "link", "instrumentation"] as const;
export type Scope = (typeof scopes)[number];

/** The scope and key that a field names; scope undefined for any. */
export function attributeField(field: string): { scope: Scope | undefined; key: string } {
  const scope = scopes.find((s) => field.startsWith(`${s}.`) && field.length > s.length + 1);
  if (scope) return { scope, key: field.slice(scope.length + 1) };
  return { scope: undefined, key: field.startsWith(".") && field.length > 1 ? field.slice(1) : field };
}

/** The filter text narrowed by one more term, unless it holds it already. */
export function narrowed(text: string, term: string): string {
  const old = text.trim();
  if (old === "" || old === term) return term;
  if (old.includes(term)) return old;
  return old.includes("||") ? `(${old}) ${term}` : `${old} ${term}`;
}

/** The filter text without a term that narrowed() added. */
export function widened(text: string, term: string): string {
  return text.replace(term, "").replace(/\s+/g, " ").trim().replace(/^\(([^()]*)\)$/, "$1");
}
