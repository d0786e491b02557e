// Package syntax parses the text of a TraceQL query into a tree, and prints a tree as text.
//
// It is the first of three passes: syntax (text and shape), check (types and the static rules) and eval
// (meaning). A scanner splits the text into tokens by longest match. A precedence parser builds the tree. The
// printer writes the canonical text, which parses to the same tree. Every node has its position. Every error
// names the line, the column, the expected token and, for common mistakes, the correct form.
//
// The package does not depend on spans or types. It limits nesting, so that no query can exhaust the stack,
// here or in a later pass.
package syntax
