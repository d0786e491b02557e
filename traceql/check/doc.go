// Package check holds the static rules of TraceQL: operand types, what a filter
// or an aggregate may hold, limits of lists and arguments.
//
// It is the second of three passes. A query that passes can be evaluated
// without a type error; only values of attributes, whose types are not known
// before, can still fail to match.
package check
