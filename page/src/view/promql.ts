// PromQL for the editor: Prometheus' own grammar and completion of metrics, labels, values and functions.

import { PromQLExtension } from "@prometheus-io/codemirror-promql";
import { createEditor, type CreateEditor } from "./codemirror";

/** base is the path before /api/v1. */
export function promqlEditor(base: string): CreateEditor {
  // The linter draws its marks with data: images, which the content security policy forbids; the server's own error,
  // which has a position, is marked instead.
  const promql = new PromQLExtension().activateLinter(false).setComplete({ remote: { url: base, httpErrorHandler: () => undefined } });
  return (root, text, theme, hooks) => {
    const editor = createEditor(root, text, theme, hooks, {
      extension: promql.asExtension(),
      placeholder: "Expression, such as up, or rate(http_requests_total[5m])",
      label: "PromQL expression",
      testid: "promql-input",
    });
    return {
      ...editor,
      destroy: () => {
        editor.destroy();
        promql.destroy();
      },
    };
  };
}
