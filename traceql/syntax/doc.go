// Package syntax turns the text of a TraceQL query into a tree and back.
//
// It is the first of three passes: syntax (text and shape), check (types and
// the static rules) and eval (meaning). A scanner cuts the text into tokens by
// longest match; a precedence parser builds the tree; the printer writes the
// canonical text, so that parse, print, parse gives the same tree. Every node
// knows its place, and every error names line, column, what was expected and,
// for common mistakes, how to write it right.
//
// Nothing here knows spans or types. Nesting is bounded, so no query can
// exhaust the stack, here or in a later pass.
package syntax
