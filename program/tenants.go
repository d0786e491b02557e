package program

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

	"etude/query"
	"etude/receive"
	"etude/store"
	"etude/tenant"
)

// tenantsFolder holds a folder for each tenant below the data directory.
const tenantsFolder = "tenants"

// tenants is the set of stores, one a tenant: the Sink and the source of queries
// of a backend with tenants. The store of [tenant.Single] lies in the data
// directory itself and is always open; its lock keeps other backends away from
// all of them, and what was stored without tenants stays readable with them.
// The others lie in folders below. They are opened at the start or by the first
// write; one that has been empty for a while is closed and removed, so that a
// mistyped name takes no place for long.
//
// A store in the set may be closed: then opening is held by who removes it, and
// Append waits for its turn to open it again. Readers never wait.
type tenants struct {
	options func(dir string) store.Options
	dir     string
	limits  tenantLimits
	log     *slog.Logger

	opening sync.Mutex     // held to open, close or remove stores
	start   startGenerated // nil: no metrics are computed; opening is held

	mu     sync.RWMutex
	stores map[string]*tenantStore
	closed bool

	stop    chan struct{}
	stopped chan struct{}
}

type tenantStore struct {
	*store.Store
	dir    string
	opened time.Time
	rate   *rateLimit // nil for none

	generator *generatorRun // nil for none
}

// startGenerated starts to compute metrics from what comes to a tenant's store.
type startGenerated func(tenant string, st *store.Store) (*generatorRun, error)

// tenantLimits bound all tenants together, but for the rate, which is of each.
type tenantLimits struct {
	most   int // tenants
	bounds store.Bounds
	rate   func() *rateLimit
	idle   time.Duration // how long an empty store stays
	every  time.Duration // how often the bounds are shared out anew
}

const (
	tenantIdle  = time.Minute
	tenantCheck = 250 * time.Millisecond
)

// openTenants opens what is in a data directory.
func openTenants(dir string, limits tenantLimits, options func(dir string) store.Options, log *slog.Logger) (*tenants, error) {
	t := &tenants{options: options, dir: dir, limits: limits, log: log, stores: map[string]*tenantStore{},
		stop: make(chan struct{}), stopped: make(chan struct{})}
	err := t.openAll()
	if err != nil {
		close(t.stopped)
		return nil, errors.Join(err, t.Close())
	}
	go t.keep()
	return t, nil
}

func (t *tenants) openAll() error {
	t.opening.Lock()
	defer t.opening.Unlock()
	folder := filepath.Join(t.dir, tenantsFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil { // opening the first store makes its name durable
		return fmt.Errorf("make the folder of the tenants: %w", err)
	}
	if _, err := t.open(tenant.Single, t.dir); err != nil {
		return err
	}
	found, err := os.ReadDir(folder)
	if err != nil {
		return fmt.Errorf("find tenants: %w", err)
	}
	for _, f := range found {
		id, ok := tenant.OfFolder(f.Name())
		if !ok || !f.IsDir() {
			t.log.Warn("this is no tenant's folder, and is left alone", "path", filepath.Join(folder, f.Name()))
			continue
		}
		if _, err := t.open(id, filepath.Join(folder, f.Name())); err != nil {
			return err
		}
		t.balance()
	}
	if n := len(t.stores); n > t.limits.most {
		t.log.Warn("more tenants have spans than --max-tenants allows; no new one is taken", "tenants", n, "limit", t.limits.most)
	}
	return nil
}

// open opens a tenant's store and puts it in its place; opening is held.
func (t *tenants) open(id, dir string) (*tenantStore, error) {
	s, err := store.Open(t.options(dir))
	if err != nil {
		return nil, fmt.Errorf("open the spans of tenant %s: %w", id, err)
	}
	ts := &tenantStore{Store: s, dir: dir, opened: time.Now(), rate: t.limits.rate()}
	if t.start != nil { // before the first span comes
		if ts.generator, err = t.start(id, s); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stores[id] = ts
	t.log.Info("tenant is open", "tenant", id, "dir", dir, "spans", s.Stats().Spans)
	return ts, nil
}

// generate computes metrics from what comes to the stores from now on. It is
// called before there are writers.
func (t *tenants) generate(start startGenerated) error {
	t.opening.Lock()
	defer t.opening.Unlock()
	t.start = start
	for id, s := range t.stores {
		var err error
		if s.generator, err = start(id, s.Store); err != nil {
			return err
		}
	}
	return nil
}

// Append stores the spans of the context's tenant.
func (t *tenants) Append(ctx context.Context, payload []byte) (rejected receive.Rejected, err error) {
	ids := tenant.Of(ctx)
	if len(ids) != 1 { // The listeners have seen to it.
		return rejected, fmt.Errorf("append spans: the request is of %d tenants", len(ids))
	}
	s := t.get(ids[0])
	for {
		if s == nil {
			if s, err = t.reopen(ids[0]); err != nil {
				return rejected, err
			}
		}
		if err := s.rate.take(len(payload)); err != nil {
			return rejected, err
		}
		rejected, err = s.Append(ctx, payload)
		if !errors.Is(err, store.ErrClosed) || t.isClosed() {
			return rejected, err
		}
		s = nil // Slow path: it was empty, and is being removed.
	}
}

func (t *tenants) get(id string) *tenantStore {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.stores[id]
}

func (t *tenants) isClosed() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.closed
}

// reopen opens a tenant's store unless somebody else has meanwhile.
func (t *tenants) reopen(id string) (*tenantStore, error) {
	t.opening.Lock()
	defer t.opening.Unlock()
	if t.isClosed() {
		return nil, store.ErrClosed
	}
	if s := t.get(id); s != nil {
		return s, nil
	}
	if len(t.stores) >= t.limits.most {
		return nil, &tooManyTenantsError{id, t.limits.most}
	}
	return t.open(id, filepath.Join(t.dir, tenantsFolder, tenant.Folder(id)))
}

// tooManyTenantsError refuses a tenant that has no spans yet.
type tooManyTenantsError struct {
	id    string
	limit int
}

func (e *tooManyTenantsError) Error() string {
	return fmt.Sprintf("tenant %s cannot be added: %d tenants have spans already, the limit of --max-tenants", e.id, e.limit)
}

// InvalidSpans says that sending the same again does not help.
func (e *tooManyTenantsError) InvalidSpans() bool { return true }

// Source returns what a tenant has, nil when it has nothing.
func (t *tenants) Source(id string) query.Source {
	if s := t.get(id); s != nil {
		return s.Store
	}
	return nil
}

// each calls f with every tenant, in the order of names.
func (t *tenants) each(f func(id string, s *tenantStore)) {
	t.mu.RLock()
	stores := maps.Clone(t.stores)
	t.mu.RUnlock()
	for _, id := range slices.Sorted(maps.Keys(stores)) {
		f(id, stores[id])
	}
}

// keep shares out the bounds and removes what is empty, until Close.
func (t *tenants) keep() {
	defer close(t.stopped)
	ticker := time.NewTicker(t.limits.every)
	defer ticker.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-ticker.C:
		}
		t.balance()
		t.removeEmpty()
	}
}

// removeEmpty removes the stores that have been empty for long enough.
func (t *tenants) removeEmpty() {
	t.each(func(id string, s *tenantStore) {
		if id == tenant.Single || time.Since(s.opened) <= t.limits.idle {
			return
		}
		if st := s.Stats(); st.Spans == 0 && st.Waiting == 0 {
			t.remove(id, s)
		}
	})
}

// remove closes an empty store and removes its folder. Close lets in what was
// already on its way: then the store is opened again.
func (t *tenants) remove(id string, s *tenantStore) {
	t.opening.Lock()
	defer t.opening.Unlock()
	if t.isClosed() {
		return
	}
	err := s.Close()
	s.generator.close() // behind the last span
	if s.Stats().Spans > 0 || err != nil {
		if _, openErr := t.open(id, s.dir); openErr != nil {
			t.log.Error("go on with a tenant that was to be removed", "tenant", id, "error", errors.Join(err, openErr))
			t.forget(id) // the next write tries again
		}
		return
	}
	t.forget(id)
	if err := os.RemoveAll(s.dir); err != nil {
		t.log.Warn("remove the folder of a tenant without spans", "tenant", id, "error", err)
		return
	}
	t.log.Info("tenant has no spans any more and is removed", "tenant", id)
}

func (t *tenants) forget(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.stores, id)
}

// Close stores what is waiting and closes all stores, the one whose lock is that
// of all last.
func (t *tenants) Close() error {
	close(t.stop)
	<-t.stopped
	t.opening.Lock()
	defer t.opening.Unlock()
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	var closing sync.WaitGroup
	errs := make([]error, len(t.stores))
	for i, id := range slices.Collect(maps.Keys(t.stores)) {
		if id != tenant.Single {
			closing.Go(func() { errs[i] = t.stores[id].Close() })
		}
	}
	closing.Wait()
	if s := t.stores[tenant.Single]; s != nil {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
