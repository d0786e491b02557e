// Package compare says why one trace, or one set of traces, takes longer than
// another: it splits the difference of their durations among operations, so that
// the parts add up to the whole.
//
// # The critical path
//
// The rule is that of CRISP (Zhang et al., USENIX ATC 2022), and the page's: go
// backwards from the end of the root. Of the children that had ended by then, the
// one that ended last: the parent waited for it, so the path enters it by the
// same rule, leaves it where it began, and goes on with the last child that had
// ended before that. Where none had, the time is the parent's own. The pieces cover
// the root, so own times on the path add up to its duration. Children are cut to
// their parents, and clocks put right, before.
//
// # The difference
//
// The obvious attribution, each span's time on the path after less its time on the
// path before, adds up too, and was rejected: when a delay moves the path from one
// parallel call into another, it names everything inside the other call, most of
// which did not change. So the path is taken inside of every span, whether it is
// itself on the path or not. For a span and its counterpart, with D the difference
// of their durations,
//
//	D = own after - own before + the sum over children of (path after - path before)
//
// where path is a child's duration if it is on its parent's path, else 0. A child's
// term splits into f D(child), attributed inside of the child by the same rule, and
// a remainder, which is the parent's: it did not wait for the child alone, but for
// several that overlap. A cause that makes a trace slower must be on the path after, one that
// makes it faster on the path before, so f is the child's share on the path after
// if D(child) > 0, and on the path before if D(child) < 0. For two traces f is 0 or
// 1. Comparing the other way round yields the same with the opposite sign.
//
// # Alignment
//
// Spans correspond when their parents do, service and name are equal, and so is the
// position among the siblings of that service and name; where their numbers differ,
// those with the most similar durations. Then a service may have another name, a
// span may be new between a parent and its children, or gone, and the roots of two
// traces correspond, whatever their names. See align.go.
//
// Many traces are merged into a Profile first, by the path of services and names
// from the root; all times are means per trace. A span in ten of a hundred traces
// counts a tenth.
//
// # Cost
//
// Time and memory grow with the number of spans, times its logarithm where children
// are sorted. Nothing is recursive: a trace may be 10,000 levels deep.
package compare
