package write

import "etude/trace"

// Weights: about how many bytes a span takes in the columns of a row group, before compression. They bound row
// groups and pages in bytes, because spans differ in size by a factor of thousands. A text counts at each of its uses:
// most columns have no dictionary.

// Bytes that a row takes besides its texts.
const (
	spanWeight  = 64
	childWeight = 24 // of an event or a link
	attrWeight  = 8
	arrayWeight = 4 // of a byte of an array: a small element takes several times its bytes
)

// weights are the weights of the rows of a source.
type weights struct {
	spans     []uint32 // with events and links
	scopes    []uint32
	resources []uint32
}

func weigh(s *source) weights {
	v := s.v
	w := weights{s.attrWeights(trace.SpanLevel), s.attrWeights(trace.ScopeLevel), s.attrWeights(trace.ResourceLevel)}
	events, links := s.attrWeights(trace.EventLevel), s.attrWeights(trace.LinkLevel)
	for row := range w.spans {
		n := w.spans[row] + spanWeight
		for _, weight := range events[s.events[row]:s.events[row+1]] {
			n += weight + childWeight
		}
		for _, weight := range links[s.links[row]:s.links[row+1]] {
			n += weight + childWeight
		}
		w.spans[row] = n
	}
	for _, texts := range [...]*trace.Sparse{&v.StatusMessage, &v.TraceState} {
		for row, code := range texts.All() {
			if int(row) < len(w.spans) {
				w.spans[row] += v.Strings.Size(code)
			}
		}
	}
	return w
}

// attrWeights returns the weights of the attributes of each row of a level.
func (s *source) attrWeights(l trace.Level) []uint32 {
	weights, strings := make([]uint32, s.v.Count(l)), &s.v.Strings
	for c := range s.v.Attrs(l).All() {
		if !c.Type.IsText() {
			for _, row := range c.Rows {
				weights[row] += attrWeight
			}
			continue
		}
		each := uint32(1) // weight of a byte
		if c.Type == trace.Array {
			each = arrayWeight
		}
		for i, row := range c.Rows {
			weights[row] += attrWeight + each*strings.Size(c.Codes[i])
		}
	}
	return weights
}

// scale adds up the weights of spans in the order of a trace.
type scale struct {
	src   int
	scope uint32
	bytes int
}

// newScale returns an empty scale.
func newScale() scale { return scale{src: -1} }

// add adds a span. The file repeats scope and resource wherever they change.
func (c *scale) add(s *source, src int, row uint32) {
	scope := s.v.Scope[row]
	if src != c.src || scope != c.scope {
		c.src, c.scope = src, scope
		c.bytes += int(s.weights.scopes[scope]) + int(s.weights.resources[s.v.ScopeResource[scope]])
	}
	c.bytes += int(s.weights.spans[row])
}
