package generator

import (
	"time"

	"etude/trace"
)

// edge is a call of which one side has arrived.
type edge struct {
	key                   edgeKey
	own                   edgeKey   // the callee's span itself; zero in an edge that began with its caller
	caller, callee        *endpoint // one of them is nil
	callerTime            int64     // durations in ns
	calleeTime            int64
	sent, received        uint64 // end of the producer's span, start of the consumer's, unix ns
	failed                bool
	born                  int64 // unix ns
	waiting               *int  // number of edges of the same sender, including this one
	following, proceeding int32 // neighbours in the order of birth, place+1
}

// edgeKey is a span. An edge is found by the span that makes the call: the caller's own id, or the callee's
// parent. An edge with only its callee is also found by the callee's own id, because the two halves of a Zipkin
// span share an id.
type edgeKey struct {
	trace trace.TraceID
	span  trace.SpanID
}

// edgeStore has the edges that wait for their other side, oldest first. All wait equally long, so they expire
// in the order of their birth. A flood of calls without another side must leave room for the calls of other
// services: half of the places are for senders with few edges, and the other half follows the rule of package
// quota, without its maps. The store reuses places, and allocates nothing once it has reached its largest size.
type edgeStore struct {
	max    int
	places []edge
	free   []int32
	byKey  map[edgeKey]int32 // the first edge of a key
	byOwn  map[edgeKey]int32 // edges with only their callee
	oldest int32             // place+1
	newest int32             // place+1
}

func newEdgeStore(limit int) *edgeStore {
	return &edgeStore{max: limit, byKey: map[edgeKey]int32{}, byOwn: map[edgeKey]int32{}}
}

// fewEdges: a sender has few edges when it has less than one in fewEdges of the places.
const fewEdges = 1000

// open is the number of waiting edges.
func (s *edgeStore) open() int { return len(s.places) - len(s.free) }

// find returns the place of an edge.
func (s *edgeStore) find(key edgeKey) (place int32, ok bool) {
	place, ok = s.byKey[key]
	return place, ok
}

// findOwn returns the place of an edge with only its callee.
func (s *edgeStore) findOwn(own edgeKey) (place int32, ok bool) {
	place, ok = s.byOwn[own]
	return place, ok
}

// add begins an edge of a sender, whose number of waiting edges is given. own is zero unless the edge begins
// with its callee. add returns nil when there is no room for the sender.
func (s *edgeStore) add(key, own edgeKey, waiting *int, now int64) *edge {
	free := s.max - s.open()
	if free <= 0 || *waiting >= s.max/fewEdges && *waiting+1 > 2*(free-s.max/2) {
		return nil
	}
	*waiting++
	var place int32
	if n := len(s.free); n > 0 {
		place, s.free = s.free[n-1], s.free[:n-1]
	} else {
		place = int32(len(s.places))
		s.places = append(s.places, edge{})
	}
	e := &s.places[place]
	*e = edge{key: key, own: own, waiting: waiting, born: now, proceeding: s.newest}
	if s.newest > 0 {
		s.places[s.newest-1].following = place + 1
	} else {
		s.oldest = place + 1
	}
	s.newest = place + 1
	if _, taken := s.byKey[key]; !taken {
		s.byKey[key] = place
	}
	if own != (edgeKey{}) {
		s.byOwn[own] = place
	}
	return e
}

// remove removes an edge and returns it. The returned edge is valid until the next add.
func (s *edgeStore) remove(place int32) *edge {
	e := &s.places[place]
	if e.proceeding > 0 {
		s.places[e.proceeding-1].following = e.following
	} else {
		s.oldest = e.following
	}
	if e.following > 0 {
		s.places[e.following-1].proceeding = e.proceeding
	} else {
		s.newest = e.proceeding
	}
	forget(s.byKey, e.key, place)
	forget(s.byOwn, e.own, place)
	*e.waiting--
	s.free = append(s.free, place)
	return e
}

// forget removes a key unless it refers to another place.
func forget(places map[edgeKey]int32, key edgeKey, place int32) {
	if at, ok := places[key]; ok && at == place {
		delete(places, key)
	}
}

// expired removes and returns the oldest edge if it was born before a time, otherwise nil.
func (s *edgeStore) expired(before int64) *edge {
	if s.oldest == 0 || s.places[s.oldest-1].born > before {
		return nil
	}
	return s.remove(s.oldest - 1)
}

// seconds converts a duration in ns; negative durations become 0.
func seconds(ns int64) float64 { return time.Duration(max(ns, 0)).Seconds() }
