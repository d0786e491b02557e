package block

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"etude/store/block/layout"
	"etude/trace"
)

// Seek finds the pages of a row group in which a condition may be met, without making columns: it looks the texts up in
// the dictionary of a column and goes over the codes. Nothing is hashed and no text is copied. The answers are kept in
// the cache, so the same question reads nothing.
//
// A value may lie in a column of its own, in the lists of all attributes, or in what a trace keeps whole (see
// layout/extra.go): a page is found if any of them may have it. In the lists a value counts whatever its key is, if the
// page has the key. So a page may be found in vain, and none that has the value is left out.

// seeker is one search.
type seeker struct {
	*reading
	c     *trace.Condition
	texts map[string]bool
	pages []bool
}

// seek is [trace.Pager.Seek].
func (p *part) seek(ctx context.Context, c *trace.Condition) (pages []bool, err error) {
	if err := p.hold(ctx); err != nil {
		return nil, err
	}
	defer p.release()
	defer p.recoveredFrom(&err)
	r, err := p.begin(ctx)
	if err != nil || p.loose || p.b.Meta.Format == VParquet3 || len(r.skeleton.pages) < 2 {
		return nil, err
	}
	name := unitName{kind: onePlace, columns: c.Of, level: c.Level, key: spell(c)}
	if u := p.b.cache.get(r, name); u != nil {
		return u.pages, nil
	}
	s := &seeker{reading: r, c: c, texts: map[string]bool{}, pages: make([]bool, len(r.skeleton.pages))}
	for _, text := range c.Texts {
		s.texts[text] = true
	}
	known, err := s.find(ctx)
	switch {
	case err != nil:
		return nil, err
	case !known:
		s.pages = nil
	}
	p.b.cache.put(r, name, &unit{pages: s.pages, bytes: len(name.key) + len(s.pages)})
	return s.pages, nil
}

// spell writes key and texts of a condition.
func spell(c *trace.Condition) string {
	var w strings.Builder
	w.WriteString(strconv.Quote(c.Key))
	if c.Texts != nil {
		for _, text := range c.Texts {
			w.WriteString(strconv.Quote(text))
		}
		w.WriteByte('.')
	}
	return w.String()
}

// find finds the pages; known is false for a condition that pages say nothing of.
func (s *seeker) find(ctx context.Context) (known bool, err error) {
	switch {
	case s.c.Of == trace.Names && s.c.Texts != nil:
		found, err := s.values(ctx, s.b.stored(layout.OfSpan, layout.FieldName), s.isText, s.contains)
		s.join(found)
		return found != nil, err
	case s.c.Of != 0:
		return false, nil
	}
	switch s.c.Level {
	case trace.ResourceLevel:
		s.resources()
		return true, nil
	case trace.SpanLevel, trace.EventLevel:
		return s.attributes(ctx)
	}
	return false, nil
}

func (s *seeker) join(found []bool) {
	for i, f := range found {
		s.pages[i] = s.pages[i] || f
	}
}

// attributes finds the pages of values of spans or events.
func (s *seeker) attributes(ctx context.Context) (known bool, err error) {
	of := layout.OwnerOf[s.c.Level]
	for _, c := range s.b.own(of) {
		if c.Key != s.c.Key || c.Field == layout.FieldService {
			continue
		}
		found, err := s.tested(ctx, c)
		if found == nil || err != nil {
			return false, err
		}
		s.join(found)
	}
	found, err := s.listed(ctx, layout.AttrsOf[of])
	if found == nil || err != nil {
		return false, err
	}
	s.join(found)
	return s.keptWhole(ctx)
}

// listed finds the pages of values in the lists of all attributes.
func (s *seeker) listed(ctx context.Context, of layout.Owner) (pages []bool, err error) {
	pages, err = s.values(ctx, s.b.stored(of, layout.FieldKey), func(v *values) func(int) bool {
		return v.textTest(func(text []byte) bool { return string(text) == s.c.Key })
	}, nil)
	if pages == nil || err != nil || s.c.Texts == nil || !slices.Contains(pages, true) {
		return pages, err
	}
	have := make([]bool, len(pages))
	for _, f := range [...]layout.Field{layout.FieldText, layout.FieldInt, layout.FieldDouble, layout.FieldBool, layout.FieldUnsupported} {
		c := s.b.stored(of, f)
		if c == nil {
			continue
		}
		found, err := s.tested(ctx, c)
		if found == nil || err != nil {
			return nil, err
		}
		for i := range have {
			have[i] = have[i] || found[i]
		}
	}
	for i := range pages {
		pages[i] = pages[i] && have[i]
	}
	return pages, nil
}

// tested finds the pages of a column that have a value which meets the condition.
func (s *seeker) tested(ctx context.Context, c *stored) ([]bool, error) {
	switch {
	case s.c.Texts == nil || c.Field == layout.FieldUnsupported: // The element of an array may do.
		return s.values(ctx, c, func(*values) func(int) bool { return func(int) bool { return true } }, nil)
	case c.texts():
		return s.values(ctx, c, s.isText, s.contains)
	case c.Field == layout.FieldDouble:
		return s.values(ctx, c, s.isDouble, nil)
	case c.Field == layout.FieldBool:
		return s.values(ctx, c, s.isBool, nil)
	}
	return s.values(ctx, c, s.isInt, nil)
}

func (s *seeker) isBool(v *values) func(int) bool {
	return func(i int) bool { return s.texts[strconv.FormatBool(v.nums[i] != 0)] }
}

func (s *seeker) isText(v *values) func(int) bool {
	return v.textTest(func(text []byte) bool { return s.texts[string(text)] })
}

// textTest returns what reports whether a byte string passes a test; nil when none does. Each distinct one is tested once.
func (v *values) textTest(test func([]byte) bool) func(int) bool {
	var passed []uint32
	for i := range uint32(v.texts.len()) {
		if test(v.texts.get(i)) {
			passed = append(passed, i)
		}
	}
	switch len(passed) {
	case 0:
		return nil
	case 1:
		return func(i int) bool { return v.index[i] == passed[0] }
	}
	return func(i int) bool {
		_, ok := slices.BinarySearch(passed, v.index[i])
		return ok
	}
}

func (s *seeker) isInt(v *values) func(int) bool {
	var wanted []uint64
	for text := range s.texts {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			wanted = append(wanted, uint64(n))
		}
	}
	if wanted == nil {
		return nil
	}
	return func(i int) bool { return slices.Contains(wanted, v.nums[i]) }
}

func (s *seeker) isDouble(v *values) func(int) bool {
	var wanted []float64
	for text := range s.texts {
		if x, err := strconv.ParseFloat(text, 64); err == nil {
			wanted = append(wanted, x)
		}
	}
	if wanted == nil {
		return nil
	}
	return func(i int) bool {
		x := math.Float64frombits(v.nums[i])
		return math.IsNaN(x) || slices.Contains(wanted, x)
	}
}

// values finds the pages of a column that have a value which passes a test; nil when its pages are not those of other
// columns. A column that the file lacks has none.
func (s *seeker) values(ctx context.Context, c *stored, test func(*values) func(int) bool, raw func([]byte) bool) ([]bool, error) {
	pages := make([]bool, len(s.pages))
	if c == nil {
		return pages, nil
	}
	locations, err := s.b.footer.groups[s.number].chunks[c.at].locations(s.b.file)
	if err != nil || !s.skeleton.cutAt(locations) {
		return nil, nil
	}
	v, err := s.read(ctx, c, wants{raw: raw, dictionary: func(t *texts) bool {
		return test(&values{texts: *t}) != nil
	}})
	switch {
	case err != nil:
		return nil, err
	case len(v.ends) == 0: // Its dictionary has nothing that passes.
		return pages, nil
	case len(v.ends) != len(pages):
		return nil, nil
	}
	copy(pages, v.found)
	passes, from := test(v), 0
	for i, end := range v.ends {
		for ; from < end && !pages[i] && passes != nil; from++ {
			pages[i] = passes(from)
		}
		from = end
	}
	if slices.Contains(pages, true) {
		s.keepTexts(c, v)
	}
	return pages, nil
}

// contains reports whether a page may have one of the texts: the end of one. Where many texts are alike, they most often
// begin so.
func (s *seeker) contains(page []byte) bool {
	for text := range s.texts {
		if bytes.Contains(page, []byte(text[max(0, len(text)-8):])) {
			return true
		}
	}
	return false
}

// keptWhole finds the pages with traces that keep attributes whole, of the key or of one that has it in its name.
func (s *seeker) keptWhole(ctx context.Context) (known bool, err error) {
	key := []byte(s.c.Key)
	has := func(text []byte) bool { return bytes.Contains(text, key) }
	found, err := s.values(ctx, s.b.stored(layout.OfTrace, layout.FieldEtude), func(v *values) func(int) bool { return v.textTest(has) }, has)
	s.join(found)
	return found != nil, err
}

// resources finds the pages of spans whose resource meets the condition.
func (s *seeker) resources() {
	sk, some := s.skeleton, false
	meets := make([]bool, len(sk.ResourceDropped))
	for column := range sk.Resource.OfKey(s.c.Key) {
		for i, row := range column.Rows {
			if s.c.Texts == nil || s.mayBe(column, i) {
				meets[row], some = true, true
			}
		}
	}
	if !some {
		return
	}
	first := 0
	for page, n := range sk.pages {
		for _, scope := range sk.Scope[sk.First[first]:sk.First[first+n]] {
			if meets[sk.ScopeResource[scope]] {
				s.pages[page] = true
				break
			}
		}
		first += n
	}
}

// mayBe reports whether a value of a resource may be one of the texts.
func (s *seeker) mayBe(c *trace.Column, i int) bool {
	switch c.Type {
	case trace.String:
		return s.texts[s.dict.Get(c.Codes[i])]
	case trace.Empty, trace.Bytes, trace.KVList:
		return false
	}
	return true
}
