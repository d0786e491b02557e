package edge

import (
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Passive ejection: after ejectAfter consecutive refused connections, the balancer stops using a server, first
// for minEjection and then twice as long each time. After that, one request tries the server again. If it
// succeeds, the ejection ends.
const (
	ejectAfter  = 3
	minEjection = 2 * time.Second
	maxEjection = 30 * time.Second
)

// maxWeight limits a server's share of the requests.
const maxWeight = 1 << 20

// balancer chooses the servers of one service by smooth weighted round robin: the server with the most credit
// is next and pays the sum of all weights, so a server's turns are spread evenly instead of coming in bursts.
//
// Health belongs to the server, not to the balancer, and survives a reload.
type balancer struct {
	mu      sync.Mutex
	turns   []turn
	service string
	log     *slog.Logger
	now     func() time.Time
}

type turn struct {
	server serverConfig
	health *health
	credit int
}

// health counts the failures of one server. It has its own lock, because two balancers share it during a
// reload.
type health struct {
	mu       sync.Mutex
	failures int           // consecutive refused connections
	until    time.Time     // not used until then; zero when in rotation
	ejection time.Duration // length of the latest ejection; zero when in rotation
	retrying bool          // one request is trying the server again
}

// next picks a server that is not in tried; -1 means that all have been tried.
// Servers in rotation come first. Without any, next picks the server that was
// ejected first, so that ejections never leave a service without servers.
func (b *balancer) next(tried []int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, total := b.now(), 0
	best, fallback := -1, -1
	var soonest time.Time
	for i := range b.turns {
		t := &b.turns[i]
		if slices.Contains(tried, i) || t.server.weight == 0 {
			continue
		}
		if until := t.health.outUntil(now); !until.IsZero() {
			if fallback < 0 || until.Before(soonest) {
				fallback, soonest = i, until
			}
			continue
		}
		t.credit += t.server.weight
		total += t.server.weight
		if best < 0 || t.credit > b.turns[best].credit {
			best = i
		}
	}
	if best < 0 {
		return fallback
	}
	b.turns[best].credit -= total
	b.turns[best].health.claim(now)
	return best
}

// connected records that the server accepted the connection.
func (b *balancer) connected(i int) {
	if b.turns[i].health.recover() {
		b.log.Info("server back in rotation", "service", b.service, "url", b.turns[i].server.text)
	}
}

// refused records that no connection to the server could be made.
func (b *balancer) refused(i int, err error) {
	if ejection := b.turns[i].health.fail(b.now()); ejection > 0 {
		b.log.Warn("server out of rotation", "service", b.service, "url", b.turns[i].server.text,
			"failures", ejectAfter, "retry", ejection, "error", err)
	}
}

// outUntil returns the time when an ejected server may be tried again, or zero when it may be used now.
func (h *health) outUntil(now time.Time) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.until.IsZero() || !now.Before(h.until) {
		return time.Time{}
	}
	return h.until
}

// claim lets one request try an ejected server. For all other requests the server stays ejected until the
// result is known, or for the previous duration.
func (h *health) claim(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.until.IsZero() {
		h.until = now.Add(h.ejection)
		h.retrying = true
	}
}

// fail counts a refused connection. If this ejects the server, fail returns the duration, otherwise 0.
func (h *health) fail(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failures++
	switch {
	case h.ejection == 0 && h.failures >= ejectAfter:
		h.ejection = minEjection
		h.until = now.Add(h.ejection)
		return h.ejection
	case h.retrying:
		h.retrying = false
		h.ejection = min(2*h.ejection, maxEjection)
		h.until = now.Add(h.ejection)
	}
	// Otherwise the server is still in rotation, or it was ejected and tried because no other was left. Neither
	// changes anything.
	return 0
}

// recover puts the server back into rotation, and reports whether it was ejected.
func (h *health) recover() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := !h.until.IsZero()
	h.failures, h.until, h.ejection, h.retrying = 0, time.Time{}, 0, false
	return was
}

// up reports whether the server is in rotation.
func (h *health) up() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.until.IsZero()
}

// healthBook keeps the health of servers across reloads.
type healthBook struct {
	mu      sync.Mutex
	servers map[string]*health
}

// of returns the health of a server: one object for each service and URL.
func (b *healthBook) of(service, url string) *health {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := service + " " + url
	h := b.servers[key]
	if h == nil {
		if b.servers == nil {
			b.servers = map[string]*health{}
		}
		h = &health{}
		b.servers[key] = h
	}
	return h
}
