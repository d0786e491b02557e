package receive

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// registry knows all open connections of all listeners, and enforces two bounds over all of them.
//
// The number of connections. When the table is full, the connection that has been
// idle for the longest is closed to make room: thousands of silent clients must
// not close the port to one that has spans. Idle means that no whole request of
// it is being handled, so a client that sends half of one is idle as well. Only
// when every connection has work is a new one refused.
//
// The bytes of requests that are not whole yet. Such bytes take no slot and no
// share of Limits.InFlight, so that half-sent requests stop no other; they have a
// bound of their own, Limits.Arriving, and when it is passed the connection that
// holds the most of them is cut. Rejected: refusing the last comer, because
// the last is the honest client and the first is the one that does not finish.
//
// Lock order: registry.mu, then conn.mu.
type registry struct {
	limits *Limits
	stats  *Stats
	logger *slog.Logger

	toldFull, toldIdle, toldOverfull rarely

	mu    sync.Mutex
	conns map[*conn]struct{}

	arriving atomic.Int64 // over all connections that were not cut
}

func newRegistry(limits *Limits, stats *Stats, logger *slog.Logger) *registry {
	r := &registry{limits: limits, stats: stats, logger: logger, conns: map[*conn]struct{}{}}
	stats.registry.Store(r)
	return r
}

// add makes c one of the connections. nil means that there is no room: c is closed.
func (r *registry) add(c net.Conn) *conn {
	added := &conn{Conn: c, reg: r, cut: make(chan struct{})}
	added.used.Store(time.Now().UnixNano())
	r.mu.Lock()
	var idle *conn
	if int64(len(r.conns)) >= r.limits.Connections {
		if idle = r.longestIdle(); idle == nil {
			r.mu.Unlock()
			r.stats.cut.Add(1)
			if r.toldFull.now() {
				r.logger.Warn("refuse a connection: as many as are allowed are open and have work", "connections", r.limits.Connections)
			}
			_ = c.Close()
			return nil
		}
		delete(r.conns, idle)
	}
	r.conns[added] = struct{}{}
	r.mu.Unlock()
	if idle != nil {
		r.stats.idleClosed.Add(1)
		if r.toldIdle.now() {
			r.logger.Warn("close the connection that is idle for the longest: as many as are allowed are open", "connections", r.limits.Connections, "from", idle.RemoteAddr().String())
		}
		_ = idle.Close()
	}
	return added
}

// longestIdle compares all: with a full table only, and then at a thousand at most
// by default.
func (r *registry) longestIdle() (longest *conn) {
	for c := range r.conns {
		if c.working.Load() == 0 && (longest == nil || c.used.Load() < longest.used.Load()) {
			longest = c
		}
	}
	return longest
}

// remove forgets c and its bytes of requests that will never be complete.
func (r *registry) remove(c *conn) {
	r.mu.Lock()
	delete(r.conns, c)
	r.mu.Unlock()
	r.cut(c)
}

// cut gives up what c holds of unfinished requests and reports whether this call
// was the one that did.
func (r *registry) cut(c *conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wasCut() {
		return false
	}
	close(c.cut)
	r.arriving.Add(-c.arriving)
	c.arriving = 0
	return true
}

// relieve cuts the connection that holds the most bytes of unfinished requests,
// and returns it. A reader over HTTP/1 that finds itself cut can still answer, so
// that connection is only woken; others are closed.
func (r *registry) relieve() *conn {
	most := r.largest()
	if most == nil {
		return nil
	}
	most.overfull.Store(true) // before the cut, which its reader sees
	if !r.cut(most) {
		return nil
	}
	r.stats.overfull.Add(1)
	if r.toldOverfull.now() {
		r.logger.Warn("cut the connection whose unfinished requests hold the most: all of them hold too much", "limit_bytes", r.limits.Arriving, "from", most.RemoteAddr().String())
	}
	if most.http2 {
		_ = most.Close()
	} else {
		_ = most.SetReadDeadline(time.Unix(1, 0))
	}
	return most
}

func (r *registry) largest() (most *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var bytes int64
	for c := range r.conns {
		c.mu.Lock()
		if c.arriving > bytes {
			most, bytes = c, c.arriving
		}
		c.mu.Unlock()
	}
	return most
}

// rarely is for what may happen often and is worth a line in the log: it allows one
// a minute.
type rarely struct{ last atomic.Int64 }

func (r *rarely) now() bool {
	now, last := time.Now().Unix(), r.last.Load()
	return now-last >= 60 && r.last.CompareAndSwap(last, now)
}

func (r *registry) open() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int64(len(r.conns))
}
