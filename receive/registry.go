package receive

import (
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// registry has all open connections of all listeners, and enforces two limits over all of them.
//
// The number of connections. When the table is full, the registry closes the connection that has been idle
// longest, so that thousands of silent clients cannot block the port for a client with spans. Idle means that
// no complete request of it is being handled, so a client that has sent half a request is idle. The registry
// refuses a new connection only when no connection is idle.
//
// The bytes of incomplete requests. They use no slot, so that incomplete requests block no others. They have
// their own limit, Limits.Arriving. Beyond it, the registry cuts the connection with the most such bytes.
// Rejected: refusing the newest request, because the newest client is usually the honest one, and the oldest
// the one that does not finish.
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

// add registers c. It returns nil and closes c when there is no room.
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
				r.logger.Warn("refuse a connection: the maximum number is open, and none is idle", "connections", r.limits.Connections)
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
			r.logger.Warn("close the connection that has been idle longest: the maximum number is open", "connections", r.limits.Connections, "from", idle.RemoteAddr().String())
		}
		_ = idle.Close()
	}
	return added
}

// longestIdle compares all connections. It runs only with a full table, which has a thousand by default.
func (r *registry) longestIdle() (longest *conn) {
	for c := range r.conns {
		if c.working.Load() == 0 && (longest == nil || c.used.Load() < longest.used.Load()) {
			longest = c
		}
	}
	return longest
}

// remove removes c and its bytes of requests that will never be complete.
func (r *registry) remove(c *conn) {
	r.mu.Lock()
	delete(r.conns, c)
	r.mu.Unlock()
	r.cut(c)
}

// cut removes c's bytes of incomplete requests. It reports whether this call did so, and not an earlier one.
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

// relieve cuts the connection with the most bytes of incomplete requests, and returns it. An HTTP/1 reader that
// finds itself cut can still answer, so relieve only wakes such a connection; it closes all others.
func (r *registry) relieve() *conn {
	most := r.largest()
	if most == nil {
		return nil
	}
	most.overfull.Store(true) // before the cut, which the connection's reader notices
	if !r.cut(most) {
		return nil
	}
	r.stats.overfull.Add(1)
	if r.toldOverfull.now() {
		r.logger.Warn("cut the connection with the most bytes of unfinished requests: together they exceed the limit", "limit_bytes", r.limits.Arriving, "from", most.RemoteAddr().String())
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

// rarely limits a frequent log message to one a minute.
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
