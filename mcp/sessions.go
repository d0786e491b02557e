package mcp

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A session takes memory and some goroutines until its client ends it, and most clients never do. So the server
// ends sessions that have been idle for sessionIdle, and keeps at most maxSessions. At that limit a new session
// replaces the one that has been idle longest, if that is at least minIdle. The protocol lets the client of the
// ended session begin a new one.

const (
	// sessionIdle is the time a session is kept after its last request.
	sessionIdle = 30 * time.Minute
	// maxSessions is the maximum number of sessions.
	maxSessions = 256
	// minIdle is the minimum idle time after which another session may replace one.
	minIdle = time.Minute

	sessionHeader = "Mcp-Session-Id"
)

// sessions limits the sessions of a server.
type sessions struct {
	server *mcp.Server
	next   http.Handler
	most   int
	now    func() time.Time

	mu    sync.Mutex
	used  map[string]time.Time // time of the last request, by session id
	begin int                  // running requests that may begin a session
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
	if r.Method != http.MethodPost { // only a POST begins a session
		s.next.ServeHTTP(w, r)
		return
	}
	if !s.enter() {
		w.Header().Set("Retry-After", fmt.Sprint(int(minIdle.Seconds())))
		http.Error(w, fmt.Sprintf("all %d MCP sessions are in use, and none has been idle for %s: end one, or try again later", s.most, minIdle), http.StatusServiceUnavailable)
		return
	}
	defer s.leave()
	s.next.ServeHTTP(w, r)
}

// touch records that a session is in use. It ignores ids without a session.
func (s *sessions) touch(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.used[id]; known {
		s.used[id] = s.now()
	}
}

// enter admits a request that may begin a session, and frees a place for it. It returns false when there is
// none.
func (s *sessions) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := s.open()
	for len(open)+s.begin >= s.most {
		oldest := s.oldest()
		if oldest == "" {
			return false
		}
		_ = open[oldest].Close() // the client loses the session in any case
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
	s.open() // so that the new session's idle time begins
}

// open returns the sessions, after updating their state. The caller holds the lock.
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

// oldest returns the session that has been idle longest, or "" when none has been idle for minIdle. The caller
// holds the lock.
func (s *sessions) oldest() string {
	id, since := "", s.now().Add(-minIdle)
	for other, used := range s.used {
		if used.Before(since) {
			id, since = other, used
		}
	}
	return id
}
