package compare

import (
	"cmp"
	"math"
	"slices"
)

// Report is a comparison. Times are nanoseconds, means per trace.
type Report struct {
	Before, After float64 // duration of a trace
	Rows          []Row   // in reading order, callers before their callees; the first is the whole trace

	// Others sums up the rows that Trim has removed.
	Others     int
	OthersTime float64
}

// Row is a span with its counterpart, or the spans of an operation with theirs.
//
// Own and Overlap of all rows, and OthersTime, add up to After - Before.
type Row struct {
	Parent        int // into Rows, -1 for the first
	Depth         int
	Service, Name string
	WasService    string // before, if different
	WasName       string
	Before, After *Side   // nil when missing
	Own           float64 // difference of its own time, as far as the trace waited for it
	Overlap       float64 // difference caused by calls that run concurrently, or no longer do
	Inside        float64 // sum of Own and Overlap of the row and its descendants
}

// Side has the values of one side at a Row.
type Side struct {
	Calls, Errors float64 // per trace
	Length, Own   float64 // of all calls
	OnPath        float64 // the part of Length while the caller waited for it
	At            float64 // start relative to the caller's start
	Example       Example
}

// Difference is the additional duration of a trace after.
func (r *Report) Difference() float64 { return r.After - r.Before }

// work is a pair of nodes whose children need alignment.
type work struct {
	before, after int32
	row           int
	weight        float64 // share of its difference that belongs to the whole trace
}

// Report compares the traces added so far.
func (c *Comparison) Report() *Report {
	r := &Report{
		Before: c.Before.mean(c.Before.nodes[0].length),
		After:  c.After.mean(c.After.nodes[0].length),
	}
	r.Rows = append(r.Rows, c.row(entry{before: 0, after: 0}, -1, 0))
	r.Rows[0].Own = r.Rows[0].own()
	stack := []work{{0, 0, 0, 1}}
	for len(stack) > 0 {
		w := stack[len(stack)-1]
		stack = append(stack[:len(stack)-1], c.below(r, w)...)
	}
	r.order()
	for i := len(r.Rows) - 1; i >= 0; i-- {
		row := &r.Rows[i]
		row.Inside += row.Own + row.Overlap
		if row.Parent >= 0 {
			r.Rows[row.Parent].Inside += row.Inside
		}
	}
	return r
}

// below adds the rows below a row, and returns their alignments as more work.
func (c *Comparison) below(r *Report, w work) (more []work) {
	entries := c.align(w.before, w.after)
	at := make([]int, len(entries)) // the row of each entry
	for i, e := range entries {
		parent := w.row
		if e.above >= 0 {
			parent = at[e.above]
		}
		row := c.row(e, parent, r.Rows[parent].Depth+1)
		share, overlap := split(e, row.Before.length(), row.After.length())
		row.Own = w.weight * share * row.own()
		r.Rows[w.row].Overlap += w.weight * overlap
		at[i] = len(r.Rows)
		r.Rows = append(r.Rows, row)
		if !e.opened {
			more = append(more, work{e.before, e.after, at[i], w.weight * share})
		}
	}
	return more
}

// split returns the share of the difference inside an entry that its parent waited for, and the other
// difference of its time on the path.
func split(e entry, before, after float64) (share, overlap float64) {
	waitedBefore, waitedAfter := quotient(e.pathBefore, before), quotient(e.pathAfter, after)
	switch d := after - before; {
	case d > 0:
		share = waitedAfter
	case d < 0:
		share = waitedBefore
	default:
		share = max(waitedBefore, waitedAfter)
	}
	overlap = e.pathAfter - e.pathBefore - share*(after-before)
	if math.Abs(overlap) < 1e-15*(before+after) { // a rounding error
		overlap = 0
	}
	return share, overlap
}

func quotient(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return part / whole
}

func (c *Comparison) row(e entry, parent, depth int) Row {
	row := Row{Parent: parent, Depth: depth, Before: c.Before.side(e.before), After: c.After.side(e.after)}
	list := c.Before.ops.list
	if e.after != none {
		op := list[c.After.nodes[e.after].op]
		row.Service, row.Name = op.service, op.name
	}
	if e.before != none {
		op := list[c.Before.nodes[e.before].op]
		switch {
		case e.after == none:
			row.Service, row.Name = op.service, op.name
		case op != (operation{row.Service, row.Name}):
			row.WasService, row.WasName = op.service, op.name
		}
	}
	return row
}

// own is the difference of the row's own times.
func (r *Row) own() float64 {
	d := 0.0
	if r.After != nil {
		d = r.After.Own
	}
	if r.Before != nil {
		d -= r.Before.Own
	}
	return d
}

func (s *Side) length() float64 {
	if s == nil {
		return 0
	}
	return s.Length
}

func (p *Profile) side(of int32) *Side {
	if of == none {
		return nil
	}
	n := &p.nodes[of]
	return &Side{
		Calls: p.mean(float64(n.calls)), Errors: p.mean(float64(n.errors)),
		Length: p.mean(n.length), Own: p.mean(n.own), OnPath: p.mean(n.path),
		At: n.at / float64(max(1, n.calls)), Example: n.example,
	}
}

// begins is the start of a row relative to its caller's, after or, if missing, before.
func (r *Row) begins() float64 {
	if r.After != nil {
		return r.After.At
	}
	return r.Before.At
}

// order sorts the rows in reading order: below their parents, by their start.
func (r *Report) order() {
	below := make([][]int, len(r.Rows))
	for i := 1; i < len(r.Rows); i++ {
		below[r.Rows[i].Parent] = append(below[r.Rows[i].Parent], i)
	}
	to := make([]int, len(r.Rows))
	made := make([]Row, 0, len(r.Rows))
	for stack := []int{0}; len(stack) > 0; {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		row := r.Rows[i]
		if to[i] = len(made); row.Parent >= 0 {
			row.Parent = to[row.Parent]
		}
		made = append(made, row)
		slices.SortStableFunc(below[i], func(a, b int) int {
			return cmp.Compare(r.Rows[b].begins(), r.Rows[a].begins())
		})
		stack = append(stack, below[i]...)
	}
	r.Rows = made
}

// Change is the kind of a part's difference.
type Change string

// The changes. A new or gone part has no counterpart. More and less mean another number of calls; slower and
// faster mean the same number.
const (
	slower   Change = "slower"
	faster   Change = "faster"
	more     Change = "more calls"
	less     Change = "fewer calls"
	added    Change = "new"
	removed  Change = "gone"
	serial   Change = "less overlap"  // its callees no longer run concurrently
	parallel Change = "more overlap"  // its callees run concurrently
	between  Change = "between spans" // time in which no span ran
)

// Part is a piece of the difference: of a row's own time, or of the overlap in it.
type Part struct {
	Row        int
	Change     Change
	Difference float64
}

// Parts returns at most most parts, the largest first.
func (r *Report) Parts(most int) (parts []Part) {
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Own != 0 {
			parts = append(parts, Part{i, row.change(), row.Own})
		}
		if row.Overlap > 0 {
			parts = append(parts, Part{i, serial, row.Overlap})
		} else if row.Overlap < 0 {
			parts = append(parts, Part{i, parallel, row.Overlap})
		}
	}
	slices.SortStableFunc(parts, func(a, b Part) int { return cmp.Compare(math.Abs(b.Difference), math.Abs(a.Difference)) })
	return parts[:min(len(parts), most)]
}

func (r *Row) change() Change {
	switch {
	case r.Parent < 0:
		return between
	case r.Before == nil:
		return added
	case r.After == nil:
		return removed
	case r.Own > 0 && r.After.Calls > 1.01*r.Before.Calls:
		return more
	case r.Own < 0 && r.After.Calls < 0.99*r.Before.Calls:
		return less
	case r.Own > 0:
		return slower
	}
	return faster
}

// Top returns the numbers of the rows that differ, the most different first.
func (r *Report) Top() (top []int) {
	for i := range r.Rows {
		if r.Rows[i].weight() > 0 {
			top = append(top, i)
		}
	}
	slices.SortStableFunc(top, func(a, b int) int { return cmp.Compare(r.Rows[b].weight(), r.Rows[a].weight()) })
	return top
}

// weight is the absolute difference of the row.
func (r *Row) weight() float64 { return math.Abs(r.Own) + math.Abs(r.Overlap) }

// Trim keeps at most most rows: those that differ most, and their callers.
func (r *Report) Trim(most int) {
	if most <= 0 || len(r.Rows) <= most {
		return
	}
	keep := make([]bool, len(r.Rows))
	keep[0] = true
	kept, deepest := 1, 0
	for _, i := range append(r.Top(), r.same()...) {
		if r.Rows[i].Depth-deepest > most-kept {
			continue
		}
		missing := 0
		for at := i; !keep[at]; at = r.Rows[at].Parent {
			if missing++; kept+missing > most {
				break
			}
		}
		if kept+missing > most {
			continue
		}
		for at := i; !keep[at]; at = r.Rows[at].Parent {
			keep[at] = true
		}
		kept, deepest = kept+missing, max(deepest, r.Rows[i].Depth)
	}
	r.drop(keep)
}

// same returns the rows that do not differ.
func (r *Report) same() (same []int) {
	for i := range r.Rows {
		if r.Rows[i].weight() == 0 {
			same = append(same, i)
		}
	}
	return same
}

func (r *Report) drop(keep []bool) {
	to := make([]int, len(r.Rows))
	made := r.Rows[:0]
	for i := range r.Rows {
		row := r.Rows[i]
		if !keep[i] {
			r.Others++
			r.OthersTime += row.Own + row.Overlap
			continue
		}
		if to[i] = len(made); row.Parent >= 0 {
			row.Parent = to[row.Parent]
		}
		made = append(made, row)
	}
	r.Rows = made
}
