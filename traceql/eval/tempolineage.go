package eval

import "slices"

// Rule T6: &>> and &<< give fewer pairs than >> and << in both directions would. The
// walk below reproduces every answer recorded in testdata/conformance. In the words of
// the plain evaluator in naive_recorded_test.go:
//
//   - of the lower spans below the outermost upper span around it, an upper span
//     is in the result when it encloses the last;
//   - a lower span is left out when an upper span that is not in the result
//     begins between the end of the lower span before it and the outermost upper
//     span around it.

// lineageOf pairs the spans below roots by lineage. It pairs the other spans, which Tempo relates to nothing,
// by the plain rule.
func lineageOf(n *tree, upper, lower []int32) []int32 {
	if n.strict || n.rooted == 2*int64(len(n.left)) { // Fast path: all spans are below roots.
		return lineage(n, upper, lower)
	}
	rooted := func(span int32) bool { return n.left[span] > 0 && n.left[span] <= n.rooted }
	orphan := func(span int32) bool { return n.left[span] > n.rooted }
	out := lineage(n, only(upper, rooted), only(lower, rooted))
	upper, lower = only(upper, orphan), only(lower, orphan)
	out = union(out, related(n, ">>", upper, lower, true))
	return union(out, related(n, "<<", lower, upper, true))
}

func only(spans []int32, keep func(int32) bool) (out []int32) {
	for _, span := range spans {
		if keep(span) {
			out = append(out, span)
		}
	}
	return out
}

// lineage walks over two lists in the order of the tree, the upper spans and the lower spans that may be below
// them, and returns the pairs. Neither pointer goes back. After an upper span the walk stays at the last lower
// span in it, so of nested upper spans only the ones around that lower span pair again. Spans outside the tree
// are part of the walk and pair with nothing.
func lineage(n *tree, upper, lower []int32) []int32 {
	w := lineageWalk{
		n: n, upper: n.inOrder(upper), lower: n.inOrder(lower),
		keep: make([]bool, len(n.left)), passed: -1, ended: -1,
	}
	w.run()
	out := union(upper, lower)
	return slices.DeleteFunc(out, func(span int32) bool { return !w.keep[span] })
}

type lineageWalk struct {
	n            *tree
	upper, lower []int32 // by left
	keep         []bool  // by span

	d      int   // position in lower
	paired int   // lower spans before it are finished
	passed int64 // left of the last upper span that the walk passed without a pair
	ended  int64 // right of the last lower span before d that does not enclose it
}

func (w *lineageWalk) run() {
	n := w.n
	for u := 0; u < len(w.upper) && w.d < len(w.lower); {
		up, down := w.upper[u], w.lower[w.d]
		switch {
		case n.encloses(up, down):
			w.pair(up, down)
			if w.d+1 < len(w.lower) && n.encloses(up, w.lower[w.d+1]) {
				w.next()
			} else {
				u++
			}
		case n.left[down] <= n.left[up]:
			w.next()
		default:
			w.passed = n.left[up]
			u++
		}
	}
}

func (w *lineageWalk) pair(up, down int32) {
	w.keep[up] = true
	if w.d >= w.paired && w.passed <= w.ended {
		w.keep[down] = true
	}
	w.paired = w.d + 1
}

// next moves to the next lower span.
func (w *lineageWalk) next() {
	before := w.lower[w.d]
	w.d++
	if w.d < len(w.lower) && !w.n.encloses(before, w.lower[w.d]) {
		w.ended = w.n.right[before]
	}
}

// encloses reports whether a is an ancestor of b.
func (n *tree) encloses(a, b int32) bool {
	return n.left[a] > 0 && n.left[a] < n.left[b] && n.right[a] > n.right[b]
}

// inOrder returns the spans in the order of a walk through the tree, after the spans outside the tree.
func (n *tree) inOrder(spans []int32) []int32 {
	out := make([]int32, 0, len(spans))
	at := n.table() // span + 1, by left
	for _, span := range spans {
		if left := n.left[span]; left > 0 {
			at[left] = span + 1
		} else {
			out = append(out, span)
		}
	}
	for _, next := range at {
		if next > 0 {
			out = append(out, next-1)
		}
	}
	return out
}
