package eval

import (
	"errors"
	"strings"
)

// This file has the structural operators.
//
// Each operand picks spans. The operator keeps the spans of the right operand that have a partner among the
// spans of the left one. The tree numbers the spans as a nested set (tree.go): the interval from a span's left
// to its right encloses the intervals of its descendants. So each relation is a comparison of numbers:
//
//	parent     the parent's left is the left of a picked span
//	ancestor   an interval of a picked span begins before and ends after
//	sibling    another picked span has the same parent number
//
// Invariant: an operator takes time and memory linear in the spans of the trace. Each relation makes one pass
// over the left spans, which fills a table indexed by number, and one over the right spans, which reads it.
// Locks: none; each Run has its own tables.
//
// Rejected: comparing pairs, which takes quadratic time when both sides have many matches; walking up from each
// span, which takes quadratic time in a chain.
//
// The answer depends on the whole trace, so masks of single Views only choose candidates: traces for which both
// operands may match, in one View or in two.

// ErrGroups is the error of a structural operator with an operand that has several groups in one trace.
var ErrGroups = errors.New("a structural operator needs a single spanset on either side: use coalesce() after by()")

// structural is one of the fifteen operators that relate spans by the tree. Relation is the plain operator. If
// negated, it keeps the right spans without a partner. If union, it also keeps the left partners.
type structural struct {
	relation       string // ">", ">>", "<", "<<", "~"
	negated, union bool
	l, r           node
}

func newStructural(op string, l, r node) *structural {
	return &structural{
		relation: strings.TrimLeft(op, "!&"),
		negated:  op[0] == '!',
		union:    op[0] == '&',
		l:        l, r: r,
	}
}

func (o *structural) pick(r *Run, in []int32) ([]int32, bool, error) {
	right, single, err := o.r.pick(r, in)
	if err != nil || len(right) == 0 {
		return nil, true, err
	}
	left, leftSingle, err := o.l.pick(r, in)
	if err != nil {
		return nil, true, err
	}
	if !single || !leftSingle {
		return nil, true, ErrGroups
	}
	if len(left) == 0 && !o.negated {
		return nil, true, nil
	}
	return o.relate(r.t.numbers(), left, right), true, nil
}

func (o *structural) relate(n *tree, left, right []int32) []int32 {
	switch {
	case o.union && o.relation == ">>":
		return lineageOf(n, left, right)
	case o.union && o.relation == "<<":
		return lineageOf(n, right, left)
	}
	out := related(n, o.relation, left, right, !o.negated)
	if o.union {
		out = union(out, related(n, inverse(o.relation), right, left, true))
	}
	return out
}

// inverse returns the inverse of a relation of parents, children or siblings.
func inverse(relation string) string {
	switch relation {
	case "<":
		return ">"
	case ">":
		return "<"
	}
	return relation
}

// related returns the spans of right for which "some left span has the relation to it" equals want.
func related(n *tree, relation string, left, right []int32, want bool) []int32 {
	var has func(int32) bool
	switch relation {
	case ">":
		has = hasParent(n, left)
	case "<":
		has = hasChild(n, left)
	case ">>":
		has = hasAncestor(n, left)
	case "<<":
		has = hasDescendant(n, left)
	default:
		has = hasSibling(n, left)
	}
	var out []int32
	for _, r := range right {
		if has(r) == want {
			out = append(out, r)
		}
	}
	return out
}

// table returns zeros for all numbers of the tree.
func (n *tree) table() []int32 { return make([]int32, n.last+2) }

func hasParent(n *tree, left []int32) func(int32) bool {
	lefts := n.table()
	for _, l := range left {
		if n.left[l] > 0 {
			lefts[n.left[l]] = 1
		}
	}
	return func(r int32) bool { return n.up[r] > 0 && lefts[n.up[r]] != 0 }
}

func hasChild(n *tree, left []int32) func(int32) bool {
	parents := n.table()
	for _, l := range left {
		if n.up[l] > 0 {
			parents[n.up[l]] = 1
		}
	}
	return func(r int32) bool { return n.left[r] > 0 && parents[n.left[r]] != 0 }
}

// hasAncestor keeps, for each number, the largest right end of the left spans that begin before it. Two
// intervals either nest or are disjoint, so an interval that ends after r encloses it.
func hasAncestor(n *tree, left []int32) func(int32) bool {
	ends := n.table()
	for _, l := range left {
		if n.left[l] > 0 {
			ends[n.left[l]+1] = int32(n.right[l])
		}
	}
	for i := 1; i < len(ends); i++ {
		ends[i] = max(ends[i], ends[i-1])
	}
	return func(r int32) bool { return n.left[r] > 0 && int64(ends[n.left[r]]) > n.right[r] }
}

// hasDescendant counts the left spans that begin up to each number.
func hasDescendant(n *tree, left []int32) func(int32) bool {
	count := n.table()
	for _, l := range left {
		if n.left[l] > 0 {
			count[n.left[l]]++
		}
	}
	for i := 1; i < len(count); i++ {
		count[i] += count[i-1]
	}
	return func(r int32) bool { return n.left[r] > 0 && count[n.right[r]] > count[n.left[r]] }
}

// hasSibling counts the left spans under each parent. All roots count as children of one parent. A span that is
// itself on the left needs a second span.
func hasSibling(n *tree, left []int32) func(int32) bool {
	under, self := n.table(), make([]int32, len(n.left))
	slot := func(up int64) int64 { return max(up, 0) } // roots have -1
	for _, l := range left {
		if n.up[l] != 0 {
			under[slot(n.up[l])]++
			self[l] = 1
		}
	}
	return func(r int32) bool { return n.up[r] != 0 && under[slot(n.up[r])] > self[r] }
}
