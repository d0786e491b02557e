package receive

// scope names an instrumentation scope.
type scope struct{ name, version string }

// spanGroups collects encoded spans by what OTLP tells once for many: a resource,
// named by any key, and within it a scope. Both keep the order in which they
// came. Texts are borrowed from the request's bytes.
type spanGroups struct {
	resources []*resourceGroup
	byKey     map[string]*resourceGroup // when there is more than one
	size      int                       // bytes of all spans, kept by the writers
}

type resourceGroup struct {
	key     string
	scopes  []*scopeGroup
	byScope map[scope]*scopeGroup // when there is more than one
}

type scopeGroup struct {
	scope scope
	spans protoBuilder // fields of ScopeSpans
}

// of returns where the spans of a resource and a scope are written.
func (g *spanGroups) of(key string, sc scope) *protoBuilder {
	r := g.resource(key)
	if n := len(r.scopes); n > 0 && r.scopes[n-1].scope == sc {
		return &r.scopes[n-1].spans // Fast path: as the one before.
	}
	if s := r.byScope[sc]; s != nil {
		return &s.spans
	}
	s := &scopeGroup{scope: sc, spans: protoBuilder{getBuffer()}}
	if r.scopes = append(r.scopes, s); len(r.scopes) > 1 {
		if r.byScope == nil {
			r.byScope = map[scope]*scopeGroup{r.scopes[0].scope: r.scopes[0]}
		}
		r.byScope[sc] = s
	}
	return &s.spans
}

func (g *spanGroups) resource(key string) *resourceGroup {
	if n := len(g.resources); n > 0 && g.resources[n-1].key == key {
		return g.resources[n-1] // Fast path: as the one before.
	}
	if r := g.byKey[key]; r != nil {
		return r
	}
	r := &resourceGroup{key: key}
	if g.resources = append(g.resources, r); len(g.resources) > 1 {
		if g.byKey == nil {
			g.byKey = map[string]*resourceGroup{g.resources[0].key: g.resources[0]}
		}
		g.byKey[key] = r
	}
	return r
}

// write appends a TracesData to p. resource writes the Resource of a key.
func (g *spanGroups) write(p *protoBuilder, resource func(key string) error) error {
	for _, r := range g.resources {
		rs := p.open(fieldResourceSpans)
		if err := resource(r.key); err != nil {
			return err
		}
		for _, s := range r.scopes {
			ss := p.open(fieldScopeSpans)
			if s.scope != (scope{}) {
				sc := p.open(fieldScope)
				p.string(scopeName, s.scope.name)
				p.string(scopeVersion, s.scope.version)
				p.close(sc)
			}
			p.b = append(p.b, s.spans.b...)
			p.close(ss)
		}
		p.close(rs)
	}
	return nil
}

// free gives the buffers back. g is of no use afterwards.
func (g *spanGroups) free() {
	for _, r := range g.resources {
		for _, s := range r.scopes {
			putBuffer(s.spans.b)
		}
	}
}
