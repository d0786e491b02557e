package mcp

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A session costs memory and some goroutines until its client ends it, which most
// never do. So sessions end when they have been idle for a while, and there are
// only so many: when there are, the one that has been idle longest makes room, as
// long as it has been idle for a minute. Its client begins a new one, as the
// protocol has it.

const (
	// sessionIdle is how long a session is kept after its last request.
	sessionIdle = 30 * time.Minute
	// maxSessions is how many there may be.
	maxSessions = 256
	// minIdle is for how long a session is safe from others.
	minIdle = time.Minute

	sessionHeader = "Mcp-Session-Id"
)

// sessions bounds the sessions of a server.
type sessions struct {
	server *mcp.Server
	next   http.Handler
	most   int
	now    func() time.Time

	mu    sync.Mutex
	used  map[string]time.Time // by session id, when it was last asked for something
	begin int                  // requests that may begin a session now
}

func newSessions(server *mcp.Server, next http.Handler, most int, now func() time.Time) *sessions {
	return &sessions{server: server, next: next, most: most, now: now, used: map[string]time.Time{}}
}

func (s *sessions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if id := r.Header.Get(sessionHeader); id != "" {
		s.touch(id)
		s.next.ServeHTTP(w, r)
		return
	}
	if r.Method != http.MethodPost { // only a POST begins one
		s.next.ServeHTTP(w, r)
		return
	}
	if !s.enter() {
		w.Header().Set("Retry-After", fmt.Sprint(int(minIdle.Seconds())))
		http.Error(w, fmt.Sprintf("there are %d MCP sessions, and none has been idle for %s: end one, or come back later", s.most, minIdle), http.StatusServiceUnavailable)
		return
	}
	defer s.leave()
	s.next.ServeHTTP(w, r)
}

// touch notes that a session is in use. Ids that no session has are not kept.
func (s *sessions) touch(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.used[id]; known {
		s.used[id] = s.now()
	}
}

// enter lets a request in that may begin a session, and makes room for it.
func (s *sessions) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := s.open()
	for len(open)+s.begin >= s.most {
		oldest := s.oldest()
		if oldest == "" {
			return false
		}
		_ = open[oldest].Close() // it is gone for its client either way
		delete(open, oldest)
		delete(s.used, oldest)
	}
	s.begin++
	return true
}

func (s *sessions) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin--
	s.open() // so that the new one's time begins
}

// open returns the sessions, after an update of their state; the lock is held.
func (s *sessions) open() map[string]*mcp.ServerSession {
	open := map[string]*mcp.ServerSession{}
	for session := range s.server.Sessions() {
		open[session.ID()] = session
	}
	for id := range s.used {
		if open[id] == nil {
			delete(s.used, id)
		}
	}
	for id := range open {
		if _, known := s.used[id]; !known {
			s.used[id] = s.now()
		}
	}
	return open
}

// oldest returns the session that has been idle longest, "" when none has been
// for long; the lock is held.
func (s *sessions) oldest() string {
	id, since := "", s.now().Add(-minIdle)
	for other, used := range s.used {
		if used.Before(since) {
			id, since = other, used
		}
	}
	return id
}
