// TraceQL for the editor: grammar, and completion of attribute names and values from the backend.

import type { Completion, CompletionContext, CompletionResult } from "@codemirror/autocomplete";
import { LanguageSupport, LRLanguage } from "@codemirror/language";
import { parser } from "@grafana/lezer-traceql";
import { styleTags, tags as t } from "@lezer/highlight";
import type { Range } from "../model/range";
import { describe, intrinsics, joins, placeAt, stages, type Word } from "../model/traceqlwords";
import { quote } from "../model/value";
import { tagNames, tagValues } from "../state/api";
import { createEditor, type CreateEditor } from "./codemirror";

const language = LRLanguage.define({
  name: "traceql",
  parser: parser.configure({
    props: [
      styleTags({
        "String Identifier/String": t.string,
        "Integer Float Duration": t.number,
        "FieldOp ComparisonOp ScalarOp And Or Pipe Gt Lt Desc Anc UnionStructuralOp ExperimentalOp": t.operator,
        "IntrinsicField Aggregate AggregateExpression MetricsOperationBasicType MetricsOverTimeType MetricsAggregatorFunctionType": t.keyword,
        "AttributeField Identifier Resource Span Parent Event Link Instrumentation": t.propertyName,
        "LineComment BlockComment": t.comment,
      }),
    ],
  }),
  languageData: { commentTokens: { line: "//" }, closeBrackets: { brackets: ["{", "(", '"'] } },
});

/** range is read at each completion, so the suggestions occur in the visible time range. */
export function traceqlEditor(range: () => Range): CreateEditor {
  return (root, text, theme, hooks) =>
    createEditor(root, text, theme, hooks, {
      extension: new LanguageSupport(language),
      complete: (context) => complete(context, range()),
      describe,
      placeholder: '{ resource.service.name = "uservice3" && duration > 100ms }',
      label: "TraceQL query",
      testid: "traceql-input",
    });
}

const keywordValues: Record<string, string[]> = { status: ["error", "ok", "unset"], kind: ["server", "client", "internal", "producer", "consumer", "unspecified"] };

async function complete(context: CompletionContext, range: Range): Promise<CompletionResult | null> {
  const before = context.state.sliceDoc(0, context.pos);
  const value = /((?:span|resource|event|link|instrumentation)?[.:]?[\w.\-/]+)\s*(?:=|!=|=~|!~)\s*("?[^"\s{}&|]*)$/.exec(before);
  if (value) return completeValue(context, value[1]!, value[2]!, range);
  const place = placeAt(before);
  const typed = /[\w.:\-/]*$/.exec(before)![0];
  const from = context.pos - typed.length;
  const words = (list: Word[], type: string): Completion[] => list.map(({ label, detail }) => ({ label, detail, type }));
  if (place === "stage") return { from, options: words(stages, "function"), validFor: /^\w*$/ };
  if (typed === "" && !context.explicit) return null;
  if (place === "start") return { from, options: [{ label: "{ }", apply: "{ ", detail: "a filter of spans" }] };
  if (place === "after") return { from, options: words(joins, "operator") };
  const known = await tagNames(range).catch(() => []);
  const options = [...words(intrinsics, "keyword"), ...known.map((label) => ({ label, detail: scopeOf(label), type: "property" }))];
  return { from, options, validFor: /^[\w.:\-/]*$/ };
}

function scopeOf(label: string): string {
  return { resource: "of the process", span: "of the span", event: "of an event", link: "of a link", instrumentation: "of the library" }[label.split(".")[0]!] ?? "";
}

async function completeValue(context: CompletionContext, tag: string, typed: string, range: Range): Promise<CompletionResult | null> {
  const words = keywordValues[tag];
  const values = words ?? (await tagValues(tag, range).catch(() => [])).map(quote);
  const closing = context.state.sliceDoc(context.pos, context.pos + 1) === '"' && typed.startsWith('"');
  const options = values.map((label) => ({ label, apply: closing ? label.slice(0, -1) : label }));
  return options.length === 0 ? null : { from: context.pos - typed.length, options, validFor: /^"?[^"]*$/ };
}
