// Package check holds the static rules of TraceQL: operand types, the expressions that a filter or an aggregate
// may contain, limits of lists and arguments.
//
// It is the second of three passes. A checked query can be evaluated without a type error. Only the values of
// attributes, whose types are known at evaluation, can still fail to match.
package check
