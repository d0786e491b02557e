package eval

import (
	"math"

	"etude/trace"
	"etude/traceql/syntax"
)

// spanMask returns the spans of a View for which e is true, decided by column. ok is false if columns cannot decide e.
func spanMask(b *Bound, e expr) (m Mask, ok bool) {
	switch e := e.(type) {
	case *presence:
		if attr, isAttr := e.x.(*attribute); isAttr && !attr.isService() {
			return presenceMask(b, attr, e.want)
		}
	case *constTest:
		if e.attr != nil {
			return attrMask(b, e)
		}
		if field, isIntrinsic := e.x.(intrinsic); isIntrinsic {
			return intrinsicMask(b, field.name, e)
		}
	}
	return nil, false
}

// childMask is spanMask for the rows of a level below spans.
func childMask(b *Bound, e expr, l trace.Level) (m Mask, ok bool) {
	test, isTest := e.(*constTest)
	if !isTest {
		return nil, false
	}
	if test.attr != nil {
		return matches(b, test, &b.attr(test.attr.slot).own, b.V.Count(l)), true
	}
	if field, ok := test.x.(intrinsic); ok {
		if codes, at, ok := TextColumn(b.V, field.name); ok && at == l {
			return codeMask(b, test, codes), true
		}
	}
	return nil, false
}

// codeMask returns the rows whose texts pass the test.
func codeMask(b *Bound, e *constTest, codes []uint32) Mask {
	hit := codeTest(b, e)
	return fill(len(codes), func(row int) bool { return hit(codes[row]) })
}

func attrMask(b *Bound, e *constTest) (Mask, bool) {
	v, a, l := b.V, b.attr(e.attr.slot), e.attr.level
	switch {
	case l.BelowSpans():
		return nil, false
	case l == trace.ResourceLevel:
		return spansOf(v, l, resourceMatches(b, e, &a.own)), true
	case !e.attr.inherits:
		return spansOf(v, l, matches(b, e, &a.own, v.Count(l))), true
	}
	// A span's own value hides that of its resource.
	m := spansOf(v, trace.ResourceLevel, resourceMatches(b, e, &a.resource))
	m.AndNot(present(b, b.hiding(e.attr), v.Spans()))
	m.or(matches(b, e, &a.own, v.Spans()))
	return m, true
}

// resourceMatches returns the resources with a value that passes the test.
func resourceMatches(b *Bound, e *constTest, k *keyColumns) Mask {
	hits := matches(b, e, k, b.V.Resources())
	if e.attr.isService() && e.test(textValue("")) {
		missing := fullMask(b.V.Resources())
		missing.AndNot(present(b, k, b.V.Resources()))
		hits.or(missing)
	}
	return hits
}

// presenceMask decides attr = nil and attr != nil.
func presenceMask(b *Bound, attr *attribute, want bool) (Mask, bool) {
	if attr.level.BelowSpans() {
		return nil, false
	}
	v := b.V
	find := present
	if !want {
		find = given
	}
	m := spansOf(v, attr.level, find(b, b.ofColumn(attr), v.Count(attr.level)))
	if attr.inherits {
		m.or(spansOf(v, trace.ResourceLevel, find(b, &b.attr(attr.slot).resource, v.Resources())))
	}
	if want {
		return m, true
	}
	absent := fullMask(v.Spans())
	absent.AndNot(m)
	return absent, true
}

// present returns the rows of a table that have a readable value of the key.
func present(b *Bound, k *keyColumns, n int) Mask {
	m := NewMask(n)
	for _, c := range k.cols {
		if c == nil {
			continue
		}
		for i, row := range c.Rows {
			if c.Type == trace.Array {
				if _, ok := b.value(k.attrs, c, i); !ok {
					continue
				}
			}
			m.Set(row)
		}
	}
	return m
}

// given returns the rows of a table that have the key, readable or not.
func given(b *Bound, k *keyColumns, n int) Mask {
	m := present(b, k, n)
	for _, c := range append(k.opaque, k.cols[len(k.cols)-1]) {
		if c == nil {
			continue
		}
		for _, row := range c.Rows {
			m.Set(row)
		}
	}
	return m
}

// matches returns the rows of a table with a value that passes the test.
func matches(b *Bound, e *constTest, k *keyColumns, n int) Mask {
	m := NewMask(n)
	for _, c := range k.cols {
		if c == nil {
			continue
		}
		switch {
		case c.Type == trace.Array:
			matchArrays(b, e, k, c, m)
		case c.Type == trace.String && e.lit.Type == String:
			matchTexts(b, e, c, m)
		case c.Type == trace.Int && e.lit.exact():
			lo, hi, invert := interval(e.op, e.lit)
			for i, row := range c.Rows {
				if x := int64(c.Nums[i]); (lo <= x && x <= hi) != invert {
					m.Set(row)
				}
			}
		case c.Type == trace.Int && e.lit.Type == Float:
			y := e.lit.Float
			for i, row := range c.Rows {
				if compareFloats(e.op, float64(int64(c.Nums[i])), y) {
					m.Set(row)
				}
			}
		case c.Type == trace.Double && e.lit.numeric():
			y := e.lit.Number()
			for i, row := range c.Rows {
				if compareFloats(e.op, math.Float64frombits(c.Nums[i]), y) {
					m.Set(row)
				}
			}
		case c.Type == trace.Bool && e.lit.Type == Bool:
			for i, row := range c.Rows {
				if e.test(Value{Type: Bool, Int: int64(c.Codes[i])}) {
					m.Set(row)
				}
			}
		}
	}
	return m
}

func matchTexts(b *Bound, e *constTest, c *trace.Column, m Mask) {
	if e.op == "=" {
		// Fast path: one code, or none.
		code, ok := b.V.Strings.Find(e.lit.Str)
		if !ok {
			return
		}
		for i, have := range c.Codes {
			if have == code {
				m.Set(c.Rows[i])
			}
		}
		return
	}
	t := newCodeTest(b, e)
	for i, code := range c.Codes {
		if t.none {
			return
		}
		verdict := t.verdicts[code]
		if verdict == unknown {
			if t.may != nil && !t.may.Has(code) { // Fast path: most texts lack the pattern's literal.
				continue
			}
			verdict = t.ask(code)
		}
		if verdict == yes {
			m.Set(c.Rows[i])
		}
	}
}

func matchArrays(b *Bound, e *constTest, k *keyColumns, c *trace.Column, m Mask) {
	verdicts := map[uint32]bool{}
	for i, row := range c.Rows {
		hit, known := verdicts[c.Codes[i]]
		if !known {
			if b.poll.Stop(rowWork) {
				return
			}
			v, ok := b.value(k.attrs, c, i)
			hit = ok && e.test(v)
			verdicts[c.Codes[i]] = hit
		}
		if hit {
			m.Set(row)
		}
	}
}

// codeTest returns a test of dictionary codes that reads each string once.
func codeTest(b *Bound, e *constTest) func(code uint32) bool {
	if e.op == "=" && e.lit.Type == String {
		code, ok := b.V.Strings.Find(e.lit.Str)
		return func(c uint32) bool { return ok && c == code }
	}
	t := newCodeTest(b, e)
	return t.hit
}

// textTest tests dictionary codes and remembers the verdicts.
type textTest struct {
	b        *Bound
	e        *constTest
	verdicts []uint8
	asked    int
	may      Mask // codes that may match; nil until manyTexts texts were read
	none     bool // no text matches
}

func newCodeTest(b *Bound, e *constTest) textTest {
	t := textTest{b: b, e: e, none: e.neverMatches(b)}
	if !t.none {
		t.verdicts = make([]uint8, b.V.Strings.Len())
	}
	return t
}

// Verdicts of a textTest.
const (
	unknown uint8 = iota
	yes
	no
)

func (t *textTest) hit(code uint32) bool {
	if t.none {
		return false
	}
	verdict := t.verdicts[code]
	if verdict == unknown {
		verdict = t.ask(code)
	}
	return verdict == yes
}

// ask reads the text of a code and remembers the verdict.
func (t *textTest) ask(code uint32) uint8 {
	t.verdicts[code] = no
	if t.asked++; t.asked == manyTexts {
		t.may = t.e.mayMatch(t.b)
		t.none = t.may != nil && t.may.Empty()
	}
	if t.may != nil && !t.may.Has(code) {
		return no
	}
	text := t.b.V.Text(code)
	if t.e.re != nil && t.b.poll.Stop(t.e.re.work(text)) {
		return no
	}
	if t.e.testText(text, &t.b.poll) {
		t.verdicts[code] = yes
	}
	return t.verdicts[code]
}

// manyTexts is the number of texts that a pattern reads before the test searches all texts of the View for the
// pattern's literal.
const manyTexts = 512

// mayMatch returns the codes of the texts that contain the pattern's literal. nil means any text may match: the
// test has no pattern, or the pattern has no literal.
func (e *constTest) mayMatch(b *Bound) Mask {
	if !e.hasLiteral() {
		return nil
	}
	texts := &b.V.Strings
	if b.parts != nil && b.parts.o.Searched != nil && texts.Learns() {
		b.parts.o.Searched(b.V)
	}
	if e.re.needs != "" {
		return texts.Containing(b.ctx, e.re.needs, false)
	}
	may := Mask(texts.Containing(b.ctx, e.re.folds, true))
	may.or(texts.BeyondASCII(b.ctx)) // see mayContainFold
	return may
}

// hasLiteral reports whether the test is a pattern with a literal that every match contains.
func (e *constTest) hasLiteral() bool {
	return e.op == "=~" && e.id == nil && (e.re.needs != "" || e.re.folds != "")
}

// neverMatches reports that surely no text of the View contains the pattern's literal.
func (e *constTest) neverMatches(b *Bound) bool {
	switch {
	case !e.hasLiteral():
		return false
	case e.re.needs != "":
		return b.V.Strings.Lacks(e.re.needs, false)
	}
	return b.V.Strings.Lacks(e.re.folds, true)
}

func intrinsicMask(b *Bound, name string, e *constTest) (Mask, bool) {
	v := b.V
	if codes, l, ok := TextColumn(v, name); ok && !l.BelowSpans() {
		return spansOf(v, l, codeMask(b, e, codes)), true
	}
	switch name {
	case syntax.StatusMessage:
		return statusMessageMask(b, e), true
	case syntax.Status:
		return byteMask(v.Status, e, Status), true
	case syntax.Kind:
		return byteMask(v.Kind, e, Kind), true
	case syntax.Duration:
		return durationMask(v, e), true
	case syntax.SpanID:
		return e.id.spanIDMask(v.SpanID)
	case syntax.ParentID:
		return e.id.spanIDMask(v.Parent)
	case syntax.TraceID:
		return traceIDMask(b, e), true
	}
	return nil, false
}

func statusMessageMask(b *Bound, e *constTest) Mask {
	m := NewMask(b.V.Spans())
	if e.test(textValue("")) {
		m = fullMask(b.V.Spans())
	}
	hit := codeTest(b, e)
	for row, code := range b.V.StatusMessage.All() {
		if hit(code) {
			m.Set(row)
		} else {
			m.clear(row)
		}
	}
	return m
}

func byteMask(column []uint8, e *constTest, t Type) Mask {
	var hit [256]bool
	for i := range hit {
		hit[i] = e.test(Value{Type: t, Int: int64(i)})
	}
	return fill(len(column), func(row int) bool { return hit[column[row]] })
}

func durationMask(v *trace.View, e *constTest) Mask {
	if e.lit.exact() {
		lo, hi, invert := interval(e.op, e.lit)
		return fill(v.Spans(), func(row int) bool {
			d := v.Duration(uint32(row))
			return (lo <= d && d <= hi) != invert
		})
	}
	return fill(v.Spans(), func(row int) bool {
		return e.test(Value{Type: Duration, Int: v.Duration(uint32(row))})
	})
}

// interval writes a comparison with a whole number as lo <= x <= hi, inverted for !=. An operator that holds
// for no number gives the empty interval.
func interval(op string, lit Value) (lo, hi int64, invert bool) {
	x := lit.Int
	switch op {
	case "=", "!=":
		return x, x, op == "!="
	case "<=":
		return math.MinInt64, x, false
	case ">=":
		return x, math.MaxInt64, false
	case "<":
		return x, math.MaxInt64, true
	case ">":
		return math.MinInt64, x, true
	}
	return 1, 0, false
}

func traceIDMask(b *Bound, e *constTest) Mask {
	v := b.V
	m := NewMask(v.Spans())
	if id, err := trace.ParseTraceID(e.id.lit); e.op == "=" && err == nil {
		// Fast path: one trace.
		if number, ok := v.FindTrace(id); ok {
			for row := range v.Rows(number) {
				m.Set(row)
			}
		}
		return m
	}
	hits := fill(len(v.TraceIDs), func(i int) bool {
		return !b.poll.Stop(1) && e.test(textValue(v.TraceIDs[i].Short()))
	})
	return fill(v.Spans(), func(row int) bool { return hits.Has(v.Trace[row]) })
}
