package testkit

import (
	"context"
	"slices"
	"strconv"

	"etude/trace"
)

// Cold is a Source of Views that behave as if they were on disk. A part has only the declared columns, so a
// query that forgets to declare one fails. Conditions rule out every part that does not meet them, so a query
// with a wrong condition finds too little. Find also returns a part without the trace.
type Cold struct {
	Views Views
	// Opening, if set, is called before a part is opened; Open returns its error.
	Opening func(ctx context.Context, part int) error
	// Warm is the number of newest parts that are resident.
	Warm int
}

// Snapshot returns a part for each View.
func (c Cold) Snapshot(ctx context.Context) (trace.Snapshot, error) {
	s, err := c.Views.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	parts := slices.Clone(s.Parts())
	for i := range parts[:len(parts)-min(c.Warm, len(parts))] {
		parts[i].Resident = false
	}
	return &cold{s, c, parts}, nil
}

type cold struct {
	trace.Snapshot
	c     Cold
	parts []trace.Part
}

func (s *cold) Parts() []trace.Part { return s.parts }

func (s *cold) Open(ctx context.Context, part int, need *trace.Need) (*trace.View, error) {
	if s.c.Opening != nil {
		if err := s.c.Opening(ctx, part); err != nil {
			return nil, err
		}
	}
	if s.parts[part].Resident {
		return s.c.Views[part], nil
	}
	return s.c.Views[part].Project(need), nil
}

// Tally is described at trace.Tallier.
func (s *cold) Tally(_ context.Context, part int) (*trace.View, []uint32, error) {
	v := s.c.Views[part]
	var scopes, spans []uint32
	for _, scope := range v.Scope {
		at := slices.Index(scopes, scope)
		if at < 0 {
			at, scopes, spans = len(scopes), append(scopes, scope), append(spans, 0)
		}
		spans[at]++
	}
	a := trace.Assembly{ID: trace.NewID(), Strings: v.Strings, TraceIDs: make([]trace.TraceID, 1), First: []uint32{0, uint32(len(scopes))},
		Trace: make([]uint32, len(scopes)), Scope: scopes, ScopeResource: v.ScopeResource, Resources: v.Resources()}
	out := a.View()
	out.ScopeName, out.ScopeVersion, out.ScopeSchemaURL = v.ScopeName, v.ScopeVersion, v.ScopeSchemaURL
	out.SetAttrs(trace.ResourceLevel, *v.Attrs(trace.ResourceLevel))
	out.SetAttrs(trace.ScopeLevel, *v.Attrs(trace.ScopeLevel))
	return out, spans, nil
}

func (s *cold) Find(ctx context.Context, id trace.TraceID) ([]int, error) {
	parts, err := s.Snapshot.Find(ctx, id)
	if wrong := int(id[15]) % len(s.parts); !slices.Contains(parts, wrong) {
		parts = append(parts, wrong)
		slices.Sort(parts)
	}
	return parts, err
}

// Holds is described at trace.Holder.
func (s *cold) Holds(part int, id trace.TraceID) bool {
	_, has := s.c.Views[part].FindTrace(id)
	return has || int(id[15])%len(s.parts) == part
}

// Excludes reports whether no row of a part meets a condition. It is exact, except for arrays.
func (s *cold) Excludes(part int, c trace.Condition) bool {
	v := s.c.Views[part]
	if c.Of != 0 {
		return !columnMeets(v, c)
	}
	for column := range v.Attrs(c.Level).OfKey(c.Key) {
		for i := range column.Rows {
			if valueMeets(v.Attrs(c.Level).At(column, i), c) {
				return false
			}
		}
	}
	return true
}

// ExcludesBoth reports whether no span of a part meets two conditions. It is exact, except for arrays.
func (s *cold) ExcludesBoth(part int, a, b trace.Condition) bool {
	v := s.c.Views[part]
	for row := range uint32(v.Spans()) {
		if spanMeets(v, row, a) && spanMeets(v, row, b) {
			return false
		}
	}
	return true
}

func spanMeets(v *trace.View, row uint32, c trace.Condition) bool {
	within := func(x int64) bool { return c.Min <= x && x <= c.Max }
	switch c.Of {
	case trace.Names:
		return slices.Contains(c.Texts, v.Text(v.Name[row]))
	case trace.ScopeNames:
		return slices.Contains(c.Texts, v.Text(v.ScopeName[v.Scope[row]]))
	case trace.Statuses:
		return within(int64(v.Status[row]))
	case trace.Kinds:
		return within(int64(v.Kind[row]))
	case trace.Times:
		return within(v.Duration(row))
	}
	from, to := row, row+1
	switch c.Level {
	case trace.ScopeLevel:
		from = v.Scope[row]
		to = from + 1
	case trace.ResourceLevel:
		from = v.ScopeResource[v.Scope[row]]
		to = from + 1
	case trace.EventLevel, trace.LinkLevel:
		from, to = v.Down(c.Level, row)
	}
	for ; from < to; from++ {
		for key, value := range v.Attrs(c.Level).Of(from) {
			if key == c.Key && valueMeets(value, c) {
				return true
			}
		}
	}
	return false
}

func valueMeets(v trace.Value, c trace.Condition) bool {
	if v.Type == trace.Array {
		return true
	}
	if c.Texts != nil && !slices.Contains(c.Texts, spelled(v)) {
		return false
	}
	if !c.Bounded {
		return true
	}
	var x float64
	switch v.Type {
	case trace.Int:
		x = float64(v.Int())
	case trace.Double:
		x = v.Double()
	default:
		return false
	}
	return c.Least <= x && x <= c.Most
}

func spelled(v trace.Value) string {
	switch v.Type {
	case trace.String:
		return v.Str()
	case trace.Int:
		return strconv.FormatInt(v.Int(), 10)
	case trace.Double:
		return strconv.FormatFloat(v.Double(), 'g', -1, 64)
	case trace.Bool:
		return strconv.FormatBool(v.Bool())
	}
	return ""
}

func columnMeets(v *trace.View, c trace.Condition) bool {
	texts := func(codes []uint32) bool {
		return slices.ContainsFunc(codes, func(code uint32) bool { return slices.Contains(c.Texts, v.Text(code)) })
	}
	within := func(x int64) bool { return c.Min <= x && x <= c.Max }
	switch c.Of {
	case trace.Names:
		return texts(v.Name)
	case trace.ScopeNames:
		return texts(v.ScopeName)
	case trace.Statuses:
		return slices.ContainsFunc(v.Status, func(x uint8) bool { return within(int64(x)) })
	case trace.Kinds:
		return slices.ContainsFunc(v.Kind, func(x uint8) bool { return within(int64(x)) })
	case trace.Times:
		for row := range uint32(v.Spans()) {
			if within(v.Duration(row)) {
				return true
			}
		}
		return false
	}
	return true
}
