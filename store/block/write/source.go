package write

import (
	"etude/store/block/sidecar"
	"etude/trace"
)

// source is a View that is being written, with indexes for quick access to its rows in any order.
type source struct {
	all     *sidecar.Source
	v       *trace.View
	levels  [trace.Levels]level
	named   *trace.Column // the service names of resources
	input   int           // Views of one input may share a dictionary; see texts
	base    uint32        // of its texts' numbers
	weights weights
	keys    [][]uint32             // by level and column: number of the key in the texts of keys
	shapes  [][]*shaped            // by level and shape: see shredattrs.go
	numbers [trace.Levels][]uint32 // by scope or resource: see shredder.number
	service []uint32               // by resource: number of its service name in texts + 1
	events  []uint32               // events[r] to events[r+1] are the event rows of span r
	links   []uint32

	state, message                              []uint32 // by span; nil: all zero
	droppedAttrs, droppedEvents, droppedLinks   []uint32
	flags                                       []uint32
	eventDropped, linkDropped, linkState, lflag []uint32
}

func newSource(v *trace.View, input int) *source {
	all := sidecar.NewSource(v)
	s := &source{all: all, v: v, events: all.Events, links: all.Links, input: input}
	s.keys, s.shapes = make([][]uint32, trace.Levels), make([][]*shaped, trace.Levels)
	spans, events, links := v.Spans(), len(v.EventSpan), len(v.LinkSpan)
	s.state, s.message = dense(&v.TraceState, spans), dense(&v.StatusMessage, spans)
	s.droppedAttrs, s.droppedEvents, s.droppedLinks = dense(&v.DroppedAttrs, spans), dense(&v.DroppedEvents, spans), dense(&v.DroppedLinks, spans)
	s.flags = dense(&v.Flags, spans)
	s.eventDropped = dense(&v.EventDropped, events)
	s.linkDropped, s.linkState, s.lflag = dense(&v.LinkDropped, links), dense(&v.LinkState, links), dense(&v.LinkFlags, links)
	s.weights = weigh(s)
	return s
}

// forget drops the cached numbers of another shredder.
func (s *source) forget() {
	s.service = nil
	s.numbers = [trace.Levels][]uint32{}
	for l := range trace.Levels {
		s.keys[l] = nil
		clear(s.shapes[l])
	}
}

// flat returns the attributes of a level row by row.
func (s *source) flat(l trace.Level) *trace.Flat { return s.all.Flat(l) }

// columnsOf returns the names of the columns of a level.
func (s *source) columnsOf(l trace.Level) []trace.FlatColumn {
	if s.v.Attrs(l).Sharing() {
		return s.flat(l).Columns
	}
	v := &s.levels[l]
	if v.names == nil {
		for _, c := range s.v.Attrs(l).Columns() {
			v.names = append(v.names, trace.FlatColumn{Key: c.Key, Type: c.Type})
		}
	}
	return v.names
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

// numbering numbers strings in order of appearance. "" is 0.
type numbering struct {
	list  []string
	known map[string]uint32
}

func newNumbering() *numbering {
	return &numbering{list: []string{""}, known: map[string]uint32{"": 0}}
}

// number returns the number of a string, which must stay unchanged.
func (t *numbering) number(s string) uint32 {
	n, ok := t.known[s]
	if !ok {
		n = uint32(len(t.list))
		t.list = append(t.list, s)
		t.known[s] = n
	}
	return n
}

// same returns the number: each string has one.
func (t *numbering) same(n uint32) uint32 { return n }

// len returns a bound above all numbers.
func (t *numbering) len() int { return len(t.list) }

func (t *numbering) get(n uint32) string { return t.list[n] }

// keyOf returns the number of the key of a column.
func (s *source) keyOf(t *numbering, l trace.Level, col uint32) uint32 {
	if s.keys[l] == nil {
		s.keys[l] = make([]uint32, len(s.columnsOf(l)))
	}
	if n := s.keys[l][col]; n != 0 { // Fast path
		return n - 1
	}
	n := t.number(s.columnsOf(l)[col].Key)
	s.keys[l][col] = n + 1
	return n
}
