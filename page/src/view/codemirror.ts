// The TraceQL editor: grammar, colours, completion of attribute names and values from the backend.

import { autocompletion, type CompletionContext, type CompletionResult, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, LanguageSupport, LRLanguage, syntaxHighlighting } from "@codemirror/language";
import { Compartment, EditorState, type Extension, Prec, StateEffect, StateField } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, keymap, placeholder } from "@codemirror/view";
import { parser } from "@grafana/lezer-traceql";
import { styleTags, tags as t } from "@lezer/highlight";
import type { Theme } from "../model/colour";
import type { Range } from "../model/range";
import { quote } from "../model/value";
import { tagNames, tagValues } from "../state/api";

export interface Editor {
  setText(text: string): void;
  setTheme(theme: Theme): void;
  setError(place: { line: number; column: number } | undefined): void;
  destroy(): void;
}

interface Hooks {
  changed: (text: string) => void;
  submit: () => void;
  range: () => Range;
}

const language = LRLanguage.define({
  name: "traceql",
  parser: parser.configure({
    props: [
      styleTags({
        "String Identifier/String": t.string,
        "Integer Float Duration": t.number,
        "FieldOp ComparisonOp ScalarOp And Or Pipe Gt Lt Desc Anc UnionStructuralOp ExperimentalOp": t.operator,
        "IntrinsicField Aggregate AggregateExpression": t.keyword,
        "AttributeField Identifier Resource Span Parent Event Link Instrumentation": t.propertyName,
        "LineComment BlockComment": t.comment,
      }),
    ],
  }),
  languageData: { commentTokens: { line: "//" }, closeBrackets: { brackets: ["{", "(", '"'] } },
});

const colours = {
  light: { text: "#0b6b3a", number: "#9a4a00", operator: "#4338ca", keyword: "#8a1f7a", name: "#0b5fa5", comment: "#5f6878" },
  dark: { text: "#7fd6a0", number: "#ffb36b", operator: "#a5a8ff", keyword: "#f29be0", name: "#7fc1ff", comment: "#8d95a6" },
};

function look(theme: Theme): Extension {
  const c = colours[theme];
  const style = HighlightStyle.define([
    { tag: t.string, color: c.text },
    { tag: t.number, color: c.number },
    { tag: t.operator, color: c.operator },
    { tag: t.keyword, color: c.keyword },
    { tag: t.propertyName, color: c.name },
    { tag: t.comment, color: c.comment },
  ]);
  const chrome = EditorView.theme(
    {
      "&": { fontSize: "13.5px", color: "var(--text)", backgroundColor: "transparent" },
      "&.cm-focused": { outline: "none" },
      ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
      ".cm-content": { padding: "8px 10px", minHeight: "58px", caretColor: "var(--text)" },
      ".cm-line": { padding: "0" },
      ".cm-placeholder": { color: "var(--muted)" },
      ".cm-error": { textDecoration: "underline wavy var(--error) 1.5px", textUnderlineOffset: "3px", backgroundColor: "var(--error-soft)" },
      ".cm-tooltip": { border: "1px solid var(--line-strong)", borderRadius: "6px", backgroundColor: "var(--panel)", color: "var(--text)", overflow: "hidden" },
      ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--selected)", color: "var(--text)" },
      ".cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "12.5px" },
    },
    { dark: theme === "dark" },
  );
  return [syntaxHighlighting(style), chrome];
}

const markError = StateEffect.define<number | undefined>();

/** Underlines one place until the text changes. */
const errorField = StateField.define<DecorationSet>({
  create: () => Decoration.none,
  update(marks, transaction) {
    if (transaction.docChanged) marks = Decoration.none;
    for (const effect of transaction.effects) if (effect.is(markError)) marks = decorate(transaction.state, effect.value);
    return marks;
  },
  provide: (field) => EditorView.decorations.from(field),
});

function decorate(state: EditorState, at: number | undefined): DecorationSet {
  if (at === undefined || state.doc.length === 0) return Decoration.none;
  const from = Math.min(at, state.doc.length - 1);
  const word = state.wordAt(from);
  return Decoration.set(Decoration.mark({ class: "cm-error" }).range(from, Math.max(from + 1, word?.to ?? 0)));
}

export function createEditor(root: ShadowRoot, text: string, theme: Theme, hooks: Hooks): Editor {
  const looks = new Compartment();
  const submit = (): boolean => {
    hooks.submit();
    return true;
  };
  const view = new EditorView({
    root,
    parent: root,
    doc: text,
    extensions: [
      // Enter runs unless a completion is open, whose keymap comes first; Shift-Enter makes a new line.
      Prec.highest(keymap.of(completionKeymap)),
      keymap.of([{ key: "Enter", run: submit }, { key: "Mod-Enter", run: submit }, ...closeBracketsKeymap, ...historyKeymap, ...defaultKeymap]),
      history(),
      closeBrackets(),
      bracketMatching(),
      new LanguageSupport(language),
      autocompletion({ override: [(context) => complete(context, hooks.range())], icons: false }),
      errorField,
      placeholder('{ resource.service.name = "uservice3" && duration > 100ms }'),
      EditorView.lineWrapping,
      EditorView.contentAttributes.of({ "aria-label": "TraceQL query", "data-testid": "traceql-input" }),
      EditorView.updateListener.of((update) => update.docChanged && hooks.changed(update.state.doc.toString())),
      looks.of(look(theme)),
    ],
  });
  return {
    setText: (to) => to !== view.state.doc.toString() && view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: to } }),
    setTheme: (to) => view.dispatch({ effects: looks.reconfigure(look(to)) }),
    setError: (place) => view.dispatch({ effects: markError.of(place && offsetOf(view.state, place)) }),
    destroy: () => view.destroy(),
  };
}

function offsetOf(state: EditorState, place: { line: number; column: number }): number {
  const line = state.doc.line(Math.min(Math.max(1, place.line), state.doc.lines));
  return Math.min(line.to, line.from + place.column - 1);
}

const intrinsics = ["name", "status", "statusMessage", "duration", "kind", "rootName", "rootServiceName", "trace:duration", "trace:id", "span:id", "event:name"];
const keywordValues: Record<string, string[]> = { status: ["error", "ok", "unset"], kind: ["server", "client", "internal", "producer", "consumer", "unspecified"] };

async function complete(context: CompletionContext, range: Range): Promise<CompletionResult | null> {
  const before = context.state.sliceDoc(0, context.pos);
  const value = /((?:span|resource|event|link|instrumentation)?[.:]?[\w.\-/]+)\s*(?:=|!=|=~|!~)\s*("?[^"\s{}&|]*)$/.exec(before);
  if (value) return completeValue(context, value[1]!, value[2]!, range);
  const name = /(?:^|[\s{(&|,])([\w.:\-/]*)$/.exec(before);
  if (!name || (name[1] === "" && !context.explicit)) return null;
  const known = await tagNames(range).catch(() => []);
  const options = [...intrinsics.map((label) => ({ label, type: "keyword" })), ...known.map((label) => ({ label, type: "property" }))];
  return { from: context.pos - name[1]!.length, options, validFor: /^[\w.:\-/]*$/ };
}

async function completeValue(context: CompletionContext, tag: string, typed: string, range: Range): Promise<CompletionResult | null> {
  const words = keywordValues[tag];
  const values = words ?? (await tagValues(tag, range).catch(() => [])).map(quote);
  const closing = context.state.sliceDoc(context.pos, context.pos + 1) === '"' && typed.startsWith('"');
  const options = values.map((label) => ({ label, apply: closing ? label.slice(0, -1) : label }));
  return options.length === 0 ? null : { from: context.pos - typed.length, options, validFor: /^"?[^"]*$/ };
}
