package metrics

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"etude/trace"
	"etude/traceql/eval"
	"etude/traceql/syntax"
)

// comparing is compare(): it divides spans into a selection and a baseline, and counts the values of every
// attribute in both.
type comparing struct {
	filter   eval.Filter // that selects
	topN     int
	from, to uint64 // window of the selection, 0, 0 for all

	twice map[string]func(eval.Value) bool // by the name of an intrinsic: which values count twice
}

func (q *Query) compileCompare(from *syntax.Compare) *comparing {
	c := &comparing{topN: int(min(from.TopN, 1<<30)), from: uint64(from.Start), to: uint64(from.End)}
	c.twice = countedTwice(q.p)
	c.filter = q.p.AddFilter(withoutNumbers(from.Filter.Cond))
	return c
}

// note keeps the values of a span that need its whole trace.
func (c *comparing) note(s *spans, t *eval.Trace, span int32, ref eval.Ref) {
	start := t.View(ref).Began(ref.Row)
	if (c.to == 0 || start > c.from && start <= c.to) && s.run.Holds(c.filter, t, span) {
		s.selected[ref.View].Set(ref.Row)
	}
	name, service := t.Root()
	s.roots[ref.View][ref.Row] = rootOf{name, service}
}

// attrCounts counts the values of one attribute, separately for baseline (0) and selection (1).
type attrCounts struct {
	labels *labels
	sums   [2][]float64   // by label, over the whole window
	cells  [2][][]float64 // by label, a count a slot; nil for a label that is not kept
	total  [2][]float64   // a count a slot
	times  []int          // by label, how often a span counts; grows on demand

	round        int // the round of tally.add that last used it
	counted      int // labels whose memory is counted
	countedTexts int // bytes of their texts
}

// timesOf returns how often a span with a value counts.
func (a *attrCounts) timesOf(label uint32, twice func(eval.Value) bool) int {
	for n := len(a.times); n <= int(label); n++ {
		a.times = append(a.times, 1)
		if twice != nil && twice(a.labels.values[n]) {
			a.times[n] = 2
		}
	}
	return a.times[label]
}

// tally holds the counts of all attributes. It reads spans twice. First it sums up the values, then it counts
// the most frequent values slot by slot. So a value that differs in every span costs one number, not one per
// slot.
type tally struct {
	c     *comparing
	slots int
	lead  int // of the slots, as in spans

	memory  eval.Memory
	counted int // bytes of it, for labels
	poll    eval.Poll

	attrs map[string]*attrCounts
	texts map[columnAt]*texts // so that the second reading finds all numbers

	round      int           // of add
	fresh      []*attrCounts // asked for in this round
	labels     int           // counted by holdLabels
	labelTexts int           // bytes of their texts
	owned      bool          // see labels
	codes      int           // of texts
	kept       bool          // the second time
}

// count returns the series of a query with compare().
func (c *comparing) count(s *spans) ([]Series, error) {
	all := &tally{c: c, slots: s.w.Slots, lead: s.lead, memory: s.memory, owned: s.fromDisk(), poll: eval.NewPoll(s.ctx), attrs: map[string]*attrCounts{}, texts: map[columnAt]*texts{}}
	for range 2 {
		for view := range s.list {
			if s.slots[view] == nil {
				continue
			}
			if s.ctx.Err() != nil {
				return nil, context.Cause(s.ctx)
			}
			if err := s.run.OpenWhole(view); err != nil {
				return nil, err
			}
			all.add(s, view)
			s.run.Trim()
			if err := all.holdLabels(); err != nil {
				return nil, err
			}
		}
		if err := all.keep(); err != nil {
			return nil, err
		}
		if s.ctx.Err() != nil {
			return nil, context.Cause(s.ctx)
		}
	}
	series := all.series()
	sortSeries(s.ctx, series)
	if s.ctx.Err() != nil {
		return nil, context.Cause(s.ctx)
	}
	return series, nil
}

// holdLabels counts the memory of values that are new.
func (k *tally) holdLabels() error {
	const each = labelBytes + 2*8 + 8 + 2*24 // sums, times, cells
	for _, a := range k.fresh {
		k.labels += len(a.labels.values) - a.counted
		k.labelTexts += a.labels.texts - a.countedTexts
		a.counted, a.countedTexts = len(a.labels.values), a.labels.texts
	}
	bytes := k.labels*each + k.labelTexts + 4*k.codes
	err := k.memory.Take(bytes-k.counted, eval.Progress{Format: "%d different values of attributes", A: k.labels})
	k.counted = bytes
	return err
}

// attrCountsBytes estimates the memory of an attribute with its first value. A query counts attrsAtOnce at a time.
const attrCountsBytes, attrsAtOnce = 1200, 256

func (k *tally) attr(key string) *attrCounts {
	a := k.attrs[key]
	if a == nil {
		a = &attrCounts{labels: newLabels()}
		a.labels.owned = k.owned
		if len(k.attrs)%attrsAtOnce == 0 { // One part may have a million attributes.
			_ = k.memory.Take(attrsAtOnce*attrCountsBytes, eval.Progress{Format: "%d different attributes", A: len(k.attrs)}) // the context tells
		}
		k.attrs[key] = a
	}
	if a.round != k.round {
		a.round, k.fresh = k.round, append(k.fresh, a)
	}
	return a
}

// observe counts one value of one span.
func (k *tally) observe(a *attrCounts, group int, label uint32, slot int32) {
	if !k.kept {
		if n := int(label) + 1 - len(a.sums[group]); n > 0 {
			a.sums[group] = append(a.sums[group], make([]float64, n)...)
		}
		a.sums[group][label]++
		return
	}
	if cells := a.cells[group][label]; cells != nil {
		cells[slot]++
	}
	a.total[group][slot]++
}

// keep chooses the values to count slot by slot.
func (k *tally) keep() error {
	if k.kept {
		return nil
	}
	k.kept = true
	lines := 0
	for _, a := range k.attrs {
		for group, sums := range a.sums {
			a.cells[group] = make([][]float64, len(sums))
			a.total[group] = make([]float64, k.slots)
			if err := k.memory.Take(len(sums)*24+k.slots*(8+sampleBytes)+seriesBytes, eval.Progress{Format: atSeries, A: lines + 1, B: k.slots}); err != nil {
				return err
			}
			for _, label := range a.top(group, k.c.topN, &k.poll) {
				lines++
				if err := k.memory.Take(seriesBytes+2*attrBytes+k.slots*(8+sampleBytes), eval.Progress{Format: atSeries, A: lines, B: k.slots}); err != nil {
					return err
				}
				a.cells[group][label] = make([]float64, k.slots)
			}
		}
	}
	return nil
}

// add observes the spans of a View: the intrinsics by label column, attributes
// column by column.
func (k *tally) add(s *spans, view int) {
	v, slots := s.run.View(view), s.slots[view]
	k.round++
	k.fresh = k.fresh[:0]
	group := func(row int) int {
		if s.selected[view].Has(uint32(row)) {
			return 1
		}
		return 0
	}
	for _, name := range []string{syntax.Name, syntax.Kind, syntax.Status, syntax.StatusMessage, syntax.ScopeName, syntax.ScopeVersion} {
		a := k.attr(name)
		column := labelColumn(s.run.Reader(view, eval.IntrinsicOperand(name)), v, nil, a.labels, slots)
		for row, slot := range slots {
			if slot == noSlot {
				continue
			}
			for range a.timesOf(column[row], k.c.twice[name]) {
				k.observe(a, group(row), column[row], slot)
			}
		}
	}
	name, service := k.attr(syntax.RootName), k.attr(syntax.RootService)
	for row, slot := range slots {
		if slot != noSlot {
			root := s.roots[view][row]
			k.observe(name, group(row), name.labels.number(eval.Text(root.name)), slot)
			k.observe(service, group(row), service.labels.number(eval.Text(root.service)), slot)
		}
	}
	k.addSpanAttrs(s.run, view, v, slots, group)
	k.addByScope(v, slots, group)
	if !s.list[view].Resident { // The second reading has another View.
		maps.DeleteFunc(k.texts, func(at columnAt, _ *texts) bool {
			if at.view == v {
				k.codes -= v.Strings.Len()
			}
			return at.view == v
		})
	}
}

func (k *tally) addSpanAttrs(run *eval.Run, view int, v *trace.View, slots []int32, group func(int) int) {
	at := columnAt{view: v}
	for c := range v.Attrs(trace.SpanLevel).All() {
		at.number++
		if k.poll.Stop(1 + len(c.Rows)) {
			return
		}
		if !eval.Readable(c.Type) {
			continue
		}
		a := k.attr(eval.AttrName(syntax.Attr{Scope: syntax.ScopeSpan, Name: c.Key}))
		t := k.textsOf(at, c, a)
		for i, row := range c.Rows {
			if int(row) >= len(slots) || slots[row] == noSlot {
				continue
			}
			if t != nil {
				k.observe(a, group(int(row)), t.number(c.Codes[i]), slots[row])
			} else if v, ok := run.AttrValue(view, c, i); ok {
				k.observe(a, group(int(row)), a.labels.number(v), slots[row])
			}
		}
	}
}

// columnAt identifies a column by its place in a View.
type columnAt struct {
	view   *trace.View
	number int
}

// textsOf returns what numbers the texts of a column. It has a place for each text
// of the View, which must not be much more than the column has rows: then it is nil.
func (k *tally) textsOf(at columnAt, c *trace.Column, a *attrCounts) *texts {
	if size := at.view.Strings.Len(); c.Type != trace.String || size > 64*len(c.Rows) {
		return nil
	} else if k.texts[at] == nil {
		k.texts[at] = &texts{l: a.labels, v: at.view}
		k.codes += size
	}
	return k.texts[at]
}

// addByScope counts the attributes of resources and scopes. It reads each resource and scope once, and counts
// it for all its spans.
func (k *tally) addByScope(v *trace.View, slots []int32, group func(int) int) {
	type has struct {
		a     *attrCounts
		label uint32
	}
	known := make([][]has, v.Scopes())
	read := func(scope uint32) (out []has) {
		service := false
		add := func(l trace.Level, row uint32) {
			for key, value := range v.Attrs(l).Of(row) {
				if value, ok := eval.FromAttr(value); ok {
					a := k.attr(eval.AttrName(syntax.Attr{Scope: eval.ScopeOf(l), Name: key}))
					out = append(out, has{a, a.labels.number(value)})
					service = service || l == trace.ResourceLevel && key == serviceName
				}
			}
		}
		add(trace.ResourceLevel, v.ScopeResource[scope])
		if !service { // The service name always exists, as in by().
			a := k.attr(eval.AttrName(syntax.Attr{Scope: syntax.ScopeResource, Name: serviceName}))
			out = append(out, has{a, a.labels.number(eval.Text(""))})
		}
		add(trace.ScopeLevel, scope)
		return out
	}
	for row, slot := range slots {
		if slot == noSlot {
			continue
		}
		scope := v.Scope[row]
		if known[scope] == nil {
			known[scope] = append(read(scope), has{})
		}
		if k.poll.Stop(len(known[scope])) {
			return
		}
		for _, h := range known[scope] {
			if h.a != nil {
				k.observe(h.a, group(row), h.label, slot)
			}
		}
	}
}

const serviceName = "service.name"

var metaTypes = [2]string{"baseline", "selection"}

// series lists for each attribute and group the most frequent values, and the number of spans that have the attribute.
func (k *tally) series() (out []Series) {
	for key, a := range k.attrs {
		for group, name := range metaTypes {
			if len(a.sums[group]) == 0 {
				continue
			}
			for label, cells := range a.cells[group] {
				if cells != nil {
					out = append(out, countSeries(name, key, a.labels.values[label], cells[k.lead:]))
				}
			}
			out = append(out, countSeries(name+"_total", key, eval.Text("nil"), a.total[group][k.lead:]))
		}
	}
	return out
}

// top returns the n most frequent labels, ties by value. Usually it keeps few labels and refuses many, so it
// keeps the kept ones sorted and compares a label first with the last of them.
func (a *attrCounts) top(group, n int, poll *eval.Poll) (list []uint32) {
	sums := a.sums[group]
	before := func(x, y uint32) int {
		if c := cmp.Compare(sums[y], sums[x]); c != 0 {
			return c
		}
		return compareValues(&a.labels.values[x], &a.labels.values[y])
	}
	for i, sum := range sums {
		label := uint32(i)
		if poll.Stop(1) {
			break
		}
		if sum == 0 || len(list) == n && before(label, list[n-1]) > 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(list, label, before)
		if len(list) == n {
			list = list[:n-1]
		}
		list = slices.Insert(list, at, label)
	}
	return list
}

// compareValues is an arbitrary, fixed order of values.
func compareValues(a, b *eval.Value) int {
	if a.Type != b.Type {
		return cmp.Compare(a.Type, b.Type)
	}
	if a.Type == eval.String {
		return strings.Compare(a.Str, b.Str)
	}
	return compareSame(*a, *b)
}

func countSeries(meta, key string, v eval.Value, cells []float64) Series {
	s := Series{Labels: []eval.Attr{attr("__meta_type", eval.Text(meta)), attr(key, v)}}
	for slot, x := range cells {
		s.Samples = append(s.Samples, Sample{slot, x})
	}
	return s
}
