package tenants

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"etude/store"
	"etude/tenant"
)

// keep divides the bounds and removes empty stores, until Close.
func (s *Set) keep() {
	defer close(s.stopped)
	if !s.o.Multi {
		return
	}
	ticker := time.NewTicker(s.o.Check)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
		}
		s.balance()
		s.removeEmpty()
	}
}

// removeEmpty removes the stores that have been empty for long enough.
func (s *Set) removeEmpty() {
	for _, t := range s.Tenants() {
		if t.ID == tenant.Single || time.Since(t.opened) <= s.o.Idle {
			continue
		}
		if st := t.Stats(); st.Spans == 0 && st.Waiting == 0 {
			s.remove(t)
		}
	}
}

// remove closes an empty store and removes its folder. The store may accept spans until Close ends; then remove
// opens it again.
func (s *Set) remove(t *Tenant) {
	s.opening.Lock()
	defer s.opening.Unlock()
	if s.isClosed() {
		return
	}
	err := t.Close()
	t.unfollow()
	if t.Stats().Spans > 0 || err != nil {
		if _, openErr := s.open(t.ID, t.dir, len(s.Tenants())); openErr != nil {
			s.log.Error("go on with a tenant that was to be removed", "tenant", t.ID, "error", errors.Join(err, openErr))
			s.forget(t.ID) // the next write tries again
		}
		return
	}
	s.forget(t.ID)
	if err := os.RemoveAll(t.dir); err != nil {
		s.log.Warn("remove the folder of a tenant without spans", "tenant", t.ID, "error", err)
		return
	}
	_ = os.Remove(filepath.Join(s.bucket(), tenant.Folder(t.ID))) // The folder may not exist. With damaged blocks in it, it stays.
	s.log.Info("a tenant without spans was removed", "tenant", t.ID)
}

func (s *Set) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tenants, id)
}

// reopen opens a tenant's store unless another request has done so meanwhile.
func (s *Set) reopen(id string) (*Tenant, error) {
	s.opening.Lock()
	defer s.opening.Unlock()
	if s.isClosed() {
		return nil, store.ErrClosed
	}
	if t := s.Get(id); t != nil {
		return t, nil
	}
	n := len(s.Tenants())
	if s.o.Most > 0 && n >= s.o.Most {
		return nil, &tooManyError{id, s.o.Most}
	}
	return s.open(id, s.dirOf(id), n+1)
}

// tooManyError refuses a tenant that has no spans yet.
type tooManyError struct {
	id    string
	limit int
}

func (e *tooManyError) Error() string {
	return fmt.Sprintf("tenant %s cannot be added: %d tenants have spans already, the limit of --max-tenants", e.id, e.limit)
}

// InvalidSpans marks the error as permanent: a retry does not help.
func (e *tooManyError) InvalidSpans() bool { return true }
