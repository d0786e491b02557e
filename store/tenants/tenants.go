package tenants

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"etude/otlp"
	"etude/store"
	"etude/tenant"
	"etude/trace"
)

// folderName holds a folder for each tenant below the data directory.
const folderName = "tenants"

// Set is an open set of stores. Its methods may be called from any goroutine.
//
// Order of locks: opening before mu. opening is held while a store is opened,
// closed or removed, which may take long; mu only to read the map. A store in
// the map may be closed: then its remover holds opening, and Append waits for it to
// open the store again. Readers never wait.
type Set struct {
	o   Options
	log *slog.Logger

	opening sync.Mutex
	follow  func(*Tenant) (Follower, error) // nil for none; guarded by opening

	mu      sync.RWMutex
	tenants map[string]*Tenant
	closed  bool

	stop    chan struct{}
	stopped chan struct{}
}

// Tenant is a tenant with an open store.
type Tenant struct {
	ID string
	*store.Store

	dir      string
	opened   time.Time
	rate     *rateLimit // nil for none
	follower Follower   // nil for none
}

// Refused counts the requests that were refused by the tenant's rate.
func (t *Tenant) Refused() int64 { return t.rate.refusals() }

// Follower reads the spans of a store, from its first one on.
type Follower interface {
	// Close is called after the last span has come. The store may be open or closed.
	Close()
}

// Open opens the stores in a data directory.
func Open(o Options) (*Set, error) {
	o.setDefaults()
	s := &Set{o: o, log: o.Store.Logger, tenants: map[string]*Tenant{}, stop: make(chan struct{}), stopped: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.openAll(); err != nil {
		close(s.stopped)
		return nil, errors.Join(err, s.Close())
	}
	go s.keep()
	return s, nil
}

func (s *Set) openAll() error {
	s.opening.Lock()
	defer s.opening.Unlock()
	found, err := s.found()
	if err != nil {
		return err
	}
	n := 1 + len(found)
	if _, err := s.open(tenant.Single, s.o.Store.Dir, n); err != nil {
		return err
	}
	for _, id := range found {
		if _, err := s.open(id, s.dirOf(id), n); err != nil {
			return err
		}
		s.balance()
	}
	if s.o.Most > 0 && n > s.o.Most {
		s.log.Warn("more tenants have spans than --max-tenants allows; no new one is taken", "tenants", n, "limit", s.o.Most)
	}
	return nil
}

// found returns the tenants that have a folder.
func (s *Set) found() (ids []string, err error) {
	if !s.o.Multi {
		return nil, nil
	}
	folder := filepath.Join(s.o.Store.Dir, folderName)
	if err := os.MkdirAll(folder, 0o700); err != nil { // Opening the first store makes its name durable.
		return nil, fmt.Errorf("make the folder of the tenants: %w", err)
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("find tenants: %w", err)
	}
	for _, f := range files {
		id, ok := tenant.OfFolder(f.Name())
		if !ok || !f.IsDir() {
			s.log.Warn("this is not the folder of a tenant, and is left alone", "path", filepath.Join(folder, f.Name()))
			continue
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// bucket holds the blocks of all tenants, a folder for each, as a Tempo's bucket does.
func (s *Set) bucket() string { return filepath.Join(s.o.Store.Dir, store.BlocksFolder) }

func (s *Set) dirOf(id string) string {
	return filepath.Join(s.o.Store.Dir, folderName, tenant.Folder(id))
}

// open opens a tenant's store, of n in all, and puts it in its place; the caller
// holds opening.
func (s *Set) open(id, dir string, n int) (*Tenant, error) {
	st, err := store.Open(s.storeOptions(id, dir, n))
	if err != nil {
		if id != tenant.Single {
			err = fmt.Errorf("open the spans of tenant %s: %w", id, err)
		}
		return nil, err
	}
	t := &Tenant{ID: id, Store: st, dir: dir, opened: time.Now(), rate: newRateLimit(s.o.Rate, s.o.Burst)}
	if err := s.attach(t); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tenants[id] = t
	if s.o.Multi {
		s.log.Info("tenant is open", "tenant", id, "dir", dir, "spans", st.Stats().Spans)
	}
	return t, nil
}

func (s *Set) attach(t *Tenant) (err error) {
	if s.follow != nil {
		t.follower, err = s.follow(t)
	}
	return err
}

// Follow starts a follower for each store, now and whenever one is opened, before
// its first span comes. It is called once, before there are writers.
func (s *Set) Follow(start func(*Tenant) (Follower, error)) error {
	s.opening.Lock()
	defer s.opening.Unlock()
	s.follow = start
	for _, t := range s.Tenants() {
		if err := s.attach(t); err != nil {
			return err
		}
	}
	return nil
}

// Unfollow closes all followers. It is called after the last span has come.
func (s *Set) Unfollow() {
	s.opening.Lock()
	defer s.opening.Unlock()
	s.follow = nil
	var closing sync.WaitGroup
	for _, t := range s.Tenants() {
		closing.Go(t.unfollow)
	}
	closing.Wait()
}

func (t *Tenant) unfollow() {
	if t.follower != nil {
		t.follower.Close()
		t.follower = nil
	}
}

// Append stores the spans of the context's tenant; see [store.Store.Append].
func (s *Set) Append(ctx context.Context, payload []byte) (rejected otlp.Rejected, err error) {
	id, err := s.writer(ctx)
	if err != nil {
		return rejected, err
	}
	t := s.Get(id)
	for {
		if t == nil {
			if t, err = s.reopen(id); err != nil {
				return rejected, err
			}
		}
		if err := t.rate.admit(len(payload)); err != nil {
			return rejected, err
		}
		rejected, err = t.Append(ctx, payload)
		if !errors.Is(err, store.ErrClosed) || s.isClosed() || !s.o.Multi {
			return rejected, err
		}
		t = nil // Slow path: the store was empty and is being removed.
	}
}

// Allow names the tenant that a request of so many bytes writes to, or refuses the
// request because of the tenant's rate. It is for requests that are not spans and
// count against the same rate; a tenant without spans has none.
func (s *Set) Allow(ctx context.Context, bytes int) (id string, err error) {
	if id, err = s.writer(ctx); err != nil {
		return "", err
	}
	if t := s.Get(id); t != nil {
		err = t.rate.admit(bytes)
	}
	return id, err
}

// writer names the tenant that a request writes to.
func (s *Set) writer(ctx context.Context) (string, error) {
	ids := tenant.Of(ctx)
	switch {
	case !s.o.Multi:
		return tenant.Single, nil
	case len(ids) != 1: // The listeners have refused such a request.
		return "", fmt.Errorf("store a request: it is of %d tenants", len(ids))
	}
	return ids[0], nil
}

// Get returns a tenant, nil when it has no store.
func (s *Set) Get(id string) *Tenant {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tenants[id]
}

// Source returns what queries read of a tenant, nil when it has no store.
func (s *Set) Source(id string) trace.Source {
	if t := s.Get(id); t != nil {
		return t.Store
	}
	return nil
}

func (s *Set) isClosed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.closed
}

// Tenants returns all tenants in the order of their names.
func (s *Set) Tenants() []*Tenant {
	s.mu.RLock()
	all := maps.Clone(s.tenants)
	s.mu.RUnlock()
	tenants := make([]*Tenant, 0, len(all))
	for _, id := range slices.Sorted(maps.Keys(all)) {
		tenants = append(tenants, all[id])
	}
	return tenants
}

// Ready returns nil when every store takes spans, else the reasons why not.
func (s *Set) Ready() error {
	var reasons []error
	for _, t := range s.Tenants() {
		if err := t.Ready(); err != nil {
			reasons = append(reasons, err)
		}
	}
	return errors.Join(reasons...)
}

// Close stores waiting payloads and closes all stores. The store whose lock protects all others comes last.
func (s *Set) Close() error {
	close(s.stop)
	<-s.stopped
	s.opening.Lock()
	defer s.opening.Unlock()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	tenants := s.Tenants()
	errs := make([]error, len(tenants)+1)
	var closing sync.WaitGroup
	for i, t := range tenants {
		if t.ID != tenant.Single {
			closing.Go(func() { errs[i] = t.Close() })
		}
	}
	closing.Wait()
	if t := s.Get(tenant.Single); t != nil {
		errs[len(tenants)] = t.Close()
	}
	return errors.Join(errs...)
}
