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

// Seek finds the pages of a row group in which a span may meet a condition. It makes no columns: it looks the
// texts up in the dictionary of a column and scans the codes. It hashes nothing and copies no text. The cache
// keeps the answers, so the same question reads nothing.
//
// A value may lie in an own column, in the attribute list, or in a list that a trace keeps whole (see
// layout/extra.go). Seek returns a page if any of these may have the value. In the attribute list it tests the
// page for the key and for the value, but not whether they belong together. So Seek may return a page without
// the value, but it never leaves out a page that has it.

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

// spell encodes the key and texts of a condition.
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

// find finds the pages. Known is false for a condition that find cannot test by page.
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

// listed finds the pages of values in the attribute lists.
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

// tested finds the pages of a column with a value that meets the condition.
func (s *seeker) tested(ctx context.Context, c *stored) ([]bool, error) {
	switch {
	case s.c.Texts == nil || c.Field == layout.FieldUnsupported: // An element of an array may meet the condition.
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

// textTest returns a function that reports whether the byte string at a place passes a test. It returns nil if
// none passes. It tests each distinct byte string once.
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

// values finds the pages of a column with a value that passes a test. It returns nil if the column's pages
// begin at other traces than the skeleton's. A missing column has no values.
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
	case len(v.ends) == 0: // No text of its dictionary passes.
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

// contains reports whether a page may have one of the texts. It searches for the end of each text, because
// similar texts most often share their beginning.
func (s *seeker) contains(page []byte) bool {
	for text := range s.texts {
		if bytes.Contains(page, []byte(text[max(0, len(text)-8):])) {
			return true
		}
	}
	return false
}

// keptWhole finds the pages with a trace whose EtudeExtra value contains the key, as a key or within a longer one.
func (s *seeker) keptWhole(ctx context.Context) (known bool, err error) {
	if s.b.listed()[s.number] { // Fast path
		return true, nil
	}
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

// mayBe reports whether a resource's value may be one of the texts.
func (s *seeker) mayBe(c *trace.Column, i int) bool {
	switch c.Type {
	case trace.String:
		return s.texts[s.dict.Get(c.Codes[i])]
	case trace.Empty, trace.Bytes, trace.KVList:
		return false
	}
	return true
}
