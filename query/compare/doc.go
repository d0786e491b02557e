// Package compare explains why one trace, or one set of traces, takes longer than another. It splits the
// difference of their durations among operations, so that the parts add up to the whole difference.
//
// # The critical path
//
// The rule is that of CRISP (Zhang et al., USENIX ATC 2022), which the page uses too. Walk backwards from the
// end of the root. Of the children that had ended by then, take the one that ended last. The parent waited for
// it, so the path enters it by the same rule, leaves it at its start, and continues with the last child that
// had ended before that. Time without such a child is the parent's own. The pieces cover the root, so own times
// on the path add up to its duration. Before this, clocks are corrected and children are cut to their parents.
//
// # The difference
//
// Rejected: the obvious attribution, each span's time on the path after minus its time on the path before. It
// adds up too, but when a delay moves the path from one parallel call into another, it names everything inside
// the other call, most of which did not change. So the path is computed inside every span, whether the span is
// on the path or not. For a span and its counterpart, with D the difference of their durations,
//
//	D = own after - own before + the sum over children of (path after - path before)
//
// where path is a child's duration if it is on its parent's path, else 0. A child's term splits into f
// D(child), attributed inside the child by the same rule, and a remainder, attributed to the parent, which
// waited for several overlapping children. A cause that makes a trace slower must be on the path after, and one
// that makes it faster on the path before. So f is the child's share on the path after if D(child) > 0, and on
// the path before if D(child) < 0. For two traces f is 0 or 1. Swapping the sides negates the result.
//
// # Alignment
//
// Spans correspond when their parents do, their service and name are equal, and their position among the
// siblings with that service and name is equal. If the numbers of such siblings differ, those with the most
// similar durations correspond. After that, a service may have another name, and a span may be inserted between
// a parent and its children, or removed. The roots of two traces always correspond. See align.go.
//
// Many traces are first merged into a Profile, by the path of services and names from the root. All times are
// means per trace, so a span in ten of a hundred traces counts a tenth.
//
// # Cost
//
// Memory grows linearly with the number of spans, and time grows with n log n, because children are sorted. No
// function is recursive: a trace may be 10,000 levels deep.
package compare
