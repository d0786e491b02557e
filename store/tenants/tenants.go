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

// folderName is the folder below the data directory that has a folder for each tenant.
const folderName = "tenants"

// Set is an open set of stores. Its methods may be called from any goroutine.
//
// Order of locks: opening before mu. A goroutine holds opening while it opens, closes or removes a store, which
// may take long. It holds mu only to read or change the map. A store in the map may be closed: then its remover
// holds opening, and Append waits for opening to open the store again. Readers never wait.
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

// Refused returns the number of requests that the tenant's rate limit refused.
func (t *Tenant) Refused() int64 { return t.rate.refusals() }

// Follower reads the spans of a store, from its first one on.
type Follower interface {
	// The set calls Close after the last span. The store may be open or closed.
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
	if err := os.MkdirAll(folder, 0o700); err != nil { // Opening the first store syncs its name.
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

// bucket returns the folder with the blocks of all tenants. It has one folder per tenant, as in Tempo's buckets.
func (s *Set) bucket() string { return filepath.Join(s.o.Store.Dir, store.BlocksFolder) }

func (s *Set) dirOf(id string) string {
	return filepath.Join(s.o.Store.Dir, folderName, tenant.Folder(id))
}

// open opens a tenant's store, one of n, and adds it to the map; the caller holds opening.
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

// Follow starts a follower for each store, now and whenever the set opens a store, before its first span. The
// caller calls Follow once, before there are writers.
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

// Unfollow closes all followers. The caller calls it after the last span.
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

// Allow returns the tenant to which a request of the given bytes writes, or an error if the request exceeds the
// tenant's rate. It is for requests without spans that count against the same rate. A tenant without a store
// has no rate limit.
func (s *Set) Allow(ctx context.Context, bytes int) (id string, err error) {
	if id, err = s.writer(ctx); err != nil {
		return "", err
	}
	if t := s.Get(id); t != nil {
		err = t.rate.admit(bytes)
	}
	return id, err
}

// writer returns the tenant to which a request writes.
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

// Get returns a tenant, or nil if it has no store.
func (s *Set) Get(id string) *Tenant {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tenants[id]
}

// Source returns the snapshots of a tenant for queries, or nil if it has no store.
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
