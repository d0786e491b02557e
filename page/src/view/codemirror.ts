// The editor of one query, whatever its language: keys, colours, one marked error.

import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap, type CompletionSource } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { Compartment, EditorState, type Extension, Prec, StateEffect, StateField } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, hoverTooltip, keymap, placeholder } from "@codemirror/view";
import { tags as t } from "@lezer/highlight";
import type { Theme } from "../model/colour";

export interface Editor {
  setText(text: string): void;
  setTheme(theme: Theme): void;
  setError(place: Place | undefined): void;
  destroy(): void;
}

/** Both count from 1. */
export interface Place {
  line: number;
  column: number;
}

export interface EditorHooks {
  changed: (text: string) => void;
  submit: () => void;
}

/** The language-specific parts of an editor. */
export interface Dialect {
  extension: Extension;
  /** Replaces the completion that the extension brings, if it brings any. */
  complete?: CompletionSource;
  /** The meaning of the word at a place, shown when a reader points at it; undefined if unknown. */
  describe?: (word: string) => string | undefined;
  placeholder: string;
  label: string;
  testid: string;
}

/** Makes an editor inside a shadow root. */
export type CreateEditor = (root: ShadowRoot, text: string, theme: Theme, hooks: EditorHooks) => Editor;

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
    { tag: [t.function(t.variableName), t.operatorKeyword, t.modifier], color: c.keyword },
    { tag: t.labelName, color: c.name },
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
      ".cm-docs": { padding: "4px 10px", fontSize: "12.5px", maxWidth: "420px" },
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

/** A tooltip with the meaning of the word under the pointer. */
function hovered(describe: (word: string) => string | undefined): Extension {
  return hoverTooltip((view, at) => {
    const line = view.state.doc.lineAt(at);
    const around = { before: /[\w:]*$/.exec(line.text.slice(0, at - line.from))![0], after: /^[\w:]*/.exec(line.text.slice(at - line.from))![0] };
    const text = describe(around.before + around.after);
    if (text === undefined) return null;
    const from = at - around.before.length;
    return {
      pos: from,
      end: at + around.after.length,
      above: true,
      create: () => {
        const dom = document.createElement("div");
        dom.className = "cm-docs";
        dom.textContent = text;
        return { dom };
      },
    };
  });
}

export function createEditor(root: ShadowRoot, text: string, theme: Theme, hooks: EditorHooks, dialect: Dialect): Editor {
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
      dialect.extension,
      autocompletion({ ...(dialect.complete ? { override: [dialect.complete] } : {}), icons: false }),
      ...(dialect.describe ? [hovered(dialect.describe)] : []),
      errorField,
      placeholder(dialect.placeholder),
      EditorView.lineWrapping,
      EditorView.contentAttributes.of({ "aria-label": dialect.label, "data-testid": dialect.testid }),
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

function offsetOf(state: EditorState, place: Place): number {
  const line = state.doc.line(Math.min(Math.max(1, place.line), state.doc.lines));
  return Math.min(line.to, line.from + place.column - 1);
}
