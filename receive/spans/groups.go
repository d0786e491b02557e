package spans

import (
	"sync"

	"etude/internal/wire"
)

// Scope names an instrumentation scope.
type Scope struct{ Name, Version string }

// Groups collects encoded spans by the things that OTLP writes once for many spans: a resource, identified by
// any key, and within it a scope. Both keep the order of their first span. Keys may be borrowed from the
// request's bytes. The zero value is ready.
type Groups struct {
	resources []*resourceGroup
	byKey     map[string]*resourceGroup // when there is more than one
	size      int                       // total size of the spans in bytes
}

type resourceGroup struct {
	key     string
	scopes  []*scopeGroup
	byScope map[Scope]*scopeGroup // when there is more than one
}

type scopeGroup struct {
	scope Scope
	spans Writer // fields of ScopeSpans
}

// Add calls write to append one span, a field of ScopeSpans, to the spans of a resource and a scope. It returns
// the total size of all spans.
func (g *Groups) Add(key string, sc Scope, write func(*Writer)) int {
	w := g.of(key, sc)
	before := len(w.B)
	write(w)
	g.size += len(w.B) - before
	return g.size
}

// of returns the writer for the spans of a resource and a scope.
func (g *Groups) of(key string, sc Scope) *Writer {
	r := g.resource(key)
	if n := len(r.scopes); n > 0 && r.scopes[n-1].scope == sc {
		return &r.scopes[n-1].spans // Fast path: same as before.
	}
	if s := r.byScope[sc]; s != nil {
		return &s.spans
	}
	s := &scopeGroup{scope: sc, spans: Writer{wire.Builder{B: getBuffer()}}}
	if r.scopes = append(r.scopes, s); len(r.scopes) > 1 {
		if r.byScope == nil {
			r.byScope = map[Scope]*scopeGroup{r.scopes[0].scope: r.scopes[0]}
		}
		r.byScope[sc] = s
	}
	return &s.spans
}

func (g *Groups) resource(key string) *resourceGroup {
	if n := len(g.resources); n > 0 && g.resources[n-1].key == key {
		return g.resources[n-1] // Fast path: same as before.
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

// Write appends a TracesData to w. resource writes the Resource of a key.
func (g *Groups) Write(w *Writer, resource func(key string) error) error {
	for _, r := range g.resources {
		rs := w.OpenResource()
		if err := resource(r.key); err != nil {
			return err
		}
		for _, s := range r.scopes {
			ss := w.OpenScope(s.scope)
			w.B = append(w.B, s.spans.B...)
			w.Close(ss)
		}
		w.Close(rs)
	}
	return nil
}

// OpenResource begins a ResourceSpans.
func (w *Writer) OpenResource() wire.Mark { return w.Open(fieldResourceSpans) }

// OpenScope begins a ScopeSpans and writes its scope, if it has one.
func (w *Writer) OpenScope(s Scope) wire.Mark {
	ss := w.Open(fieldScopeSpans)
	if s != (Scope{}) {
		sc := w.Open(fieldScope)
		w.String(scopeName, s.Name)
		w.String(scopeVersion, s.Version)
		w.Close(sc)
	}
	return ss
}

// Free returns the buffers to the pool. g must not be used afterwards.
func (g *Groups) Free() {
	for _, r := range g.resources {
		for _, s := range r.scopes {
			putBuffer(s.spans.B)
		}
	}
}

// keepBuffer is the largest buffer to pool. No limit counts pooled buffers, so many large ones must not remain.
const keepBuffer = 1 << 20

var buffers = sync.Pool{New: func() any { return new([]byte) }}

func getBuffer() []byte { return *buffers.Get().(*[]byte) }

func putBuffer(b []byte) {
	if cap(b) <= keepBuffer {
		b = b[:0]
		buffers.Put(&b)
	}
}
