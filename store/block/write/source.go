package write

import (
	"etude/trace"
)

// source is a View that is being written, with indexes for quick access to its rows in any order.
type source struct {
	v       *trace.View
	attrs   [trace.Levels]*trace.Flat
	text    []uint32    // dictionary code -> number in texts + 1, 0 while not known
	keys    [][]uint32  // by level and column: number of the key in the texts of keys
	shapes  [][]*shaped // by level and shape: see shredattrs.go
	service []uint32    // by resource: number of its service name in texts + 1
	events  []uint32    // events[r] to events[r+1] are the event rows of span r
	links   []uint32

	state, message                              []uint32 // by span; nil: all zero
	droppedAttrs, droppedEvents, droppedLinks   []uint32
	flags                                       []uint32
	eventDropped, linkDropped, linkState, lflag []uint32
}

func newSource(v *trace.View) *source {
	s := &source{v: v, text: make([]uint32, v.Strings.Len())}
	for l := range trace.Levels {
		s.attrs[l] = v.Attrs(trace.Level(l)).Flat()
		s.keys = append(s.keys, nil)
		s.shapes = append(s.shapes, make([]*shaped, s.attrs[l].MaxShapes))
	}
	spans, events, links := v.Spans(), len(v.EventSpan), len(v.LinkSpan)
	s.events, s.links = starts(v.EventSpan, spans), starts(v.LinkSpan, spans)
	s.state, s.message = dense(&v.TraceState, spans), dense(&v.StatusMessage, spans)
	s.droppedAttrs, s.droppedEvents, s.droppedLinks = dense(&v.DroppedAttrs, spans), dense(&v.DroppedEvents, spans), dense(&v.DroppedLinks, spans)
	s.flags = dense(&v.Flags, spans)
	s.eventDropped = dense(&v.EventDropped, events)
	s.linkDropped, s.linkState, s.lflag = dense(&v.LinkDropped, links), dense(&v.LinkState, links), dense(&v.LinkFlags, links)
	return s
}

// forget drops the cached numbers of another shredder.
func (s *source) forget() {
	clear(s.text)
	s.service = nil
	for l := range trace.Levels {
		s.keys[l] = nil
		clear(s.shapes[l])
	}
}

// starts returns where the children of each parent begin, and at last their number.
func starts(parents []uint32, n int) []uint32 {
	at := make([]uint32, n+1)
	for _, parent := range parents {
		at[parent+1]++
	}
	for i := range n {
		at[i+1] += at[i]
	}
	return at
}

// dense returns a sparse column with a value for each row, nil when all are zero.
func dense(s *trace.Sparse, n int) (all []uint32) {
	for row, val := range s.All() {
		if int(row) >= n {
			break
		}
		if all == nil {
			all = make([]uint32, n)
		}
		all[row] = val
	}
	return all
}

// numbering numbers the strings of a block: several Views have dictionaries of their
// own. The strings of the first one keep their codes.
type numbering struct {
	first *trace.Dict // or nil
	base  uint32      // numbers below it are codes of first
	list  []string    // of the numbers from base on
	known map[string]uint32
}

func newNumbering(first *trace.Dict) *numbering {
	t := &numbering{first: first, known: map[string]uint32{}}
	if first != nil {
		t.base = uint32(first.Len())
	}
	t.number("")
	return t
}

// number returns the number of a string, which must stay unchanged. "" is 0.
func (t *numbering) number(s string) uint32 {
	if t.first != nil {
		if code, ok := t.first.Find(s); ok {
			return code
		}
	}
	if n, ok := t.known[s]; ok {
		return n
	}
	n := t.base + uint32(len(t.list))
	t.list = append(t.list, s)
	t.known[s] = n
	return n
}

// len is above all numbers.
func (t *numbering) len() int { return int(t.base) + len(t.list) }

func (t *numbering) get(n uint32) string {
	if n < t.base {
		return t.first.Get(n)
	}
	return t.list[n-t.base]
}

// textOf returns the number of a dictionary code.
func (s *source) textOf(t *numbering, code uint32) uint32 {
	if t.first == &s.v.Strings { // Fast path
		return code
	}
	if n := s.text[code]; n != 0 { // Fast path
		return n - 1
	}
	n := t.number(s.v.Text(code))
	s.text[code] = n + 1
	return n
}

// keyOf returns the number of the key of a column.
func (s *source) keyOf(t *numbering, l trace.Level, col uint32) uint32 {
	if s.keys[l] == nil {
		s.keys[l] = make([]uint32, len(s.attrs[l].Columns))
	}
	if n := s.keys[l][col]; n != 0 { // Fast path
		return n - 1
	}
	n := t.number(s.attrs[l].Columns[col].Key)
	s.keys[l][col] = n + 1
	return n
}
