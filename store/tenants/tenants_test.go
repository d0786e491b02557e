package tenants

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/internal/testkit"
	"etude/store"
	"etude/tenant"
)

// openSet opens a set of stores in a folder, which are checked all the time.
func openSet(t *testing.T, dir string, o Options) *Set {
	t.Helper()
	o.Multi, o.Check = true, time.Millisecond
	o.Store.Dir, o.Store.Sync = dir, store.SyncInterval
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// traceOf is a request with one trace of so many spans.
func traceOf(number uint64, spans int) []byte {
	field := func(b []byte, n protowire.Number, v []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), v)
	}
	id := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, 7), number)
	var scope []byte
	for i := range spans {
		span := field(field(nil, 1, id), 2, binary.BigEndian.AppendUint64(nil, uint64(i+1)))
		scope = field(scope, 2, span)
	}
	return field(nil, 1, field(nil, 2, scope))
}

// add stores one trace of so many spans.
func (s *Set) add(t *testing.T, id string, number uint64, spans int) error {
	_, err := s.Append(tenant.With(t.Context(), id), traceOf(number, spans))
	return err
}

// holds says how many spans each tenant has, "t1:5 t2:7".
func (s *Set) holds() string {
	var all []string
	for _, t := range s.Tenants() {
		all = append(all, fmt.Sprintf("%s:%d", t.ID, t.Stats().Spans))
	}
	return strings.Join(all, " ")
}

func TestTenantsAreBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	set := openSet(t, dir, Options{Most: 3, Idle: time.Hour})
	for _, id := range []string{"t1", "T1"} {
		if err := set.add(t, id, 1, 2); err != nil {
			t.Fatal(err)
		}
	}
	err := set.add(t, "t2", 1, 1)
	var bad interface{ InvalidSpans() bool }
	if !errors.As(err, &bad) || !bad.InvalidSpans() || !strings.Contains(err.Error(), "3 tenants have spans already, the limit of --max-tenants") {
		t.Errorf("one tenant too many: %v", err)
	}
	if src := set.Get("t2"); src != nil {
		t.Errorf("a tenant that was refused has a source: %v", src)
	}
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	if err := set.add(t, "t1", 1, 1); !errors.Is(err, store.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	// Stores on disk are opened, whatever the limit is now; other folders are left alone.
	if err := os.Mkdir(filepath.Join(dir, folderName, "Not-Ours"), 0o700); err != nil {
		t.Fatal(err)
	}
	set = openSet(t, dir, Options{Most: 1, Idle: time.Hour})
	defer set.Close()
	if got := set.holds(); got != "T1:2 single-tenant:0 t1:2" {
		t.Errorf("after a restart: %s", got)
	}
}

// TestEmptyTenantsLeave writes to tenants all the time while they are removed as
// soon as they are empty, and looks for spans that were lost with a folder.
func TestEmptyTenantsLeave(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	set := openSet(t, dir, Options{Most: 4, Idle: 1})
	if err := set.add(t, "typo", 1, 0); err != nil { // without a span
		t.Fatal(err)
	}
	testkit.Eventually(t, "an empty tenant leaves", func() error {
		if _, err := os.Stat(filepath.Join(dir, folderName, "typo")); !os.IsNotExist(err) || set.Get("typo") != nil {
			return fmt.Errorf("%s; its folder: %v", set.holds(), err)
		}
		return nil
	})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			id := fmt.Sprint("t", w%2)
			for n := range 10 { // tenants come and go until their first span
				if err := set.add(t, id, uint64(w*100+n), 0); err != nil {
					t.Error(err)
				}
			}
			if err := set.add(t, id, uint64(w+1), 5); err != nil {
				t.Error(err)
			}
		})
	}
	writers.Wait()
	const want = "single-tenant:0 t0:10 t1:10"
	testkit.Eventually(t, "all spans are there", func() error {
		if got := set.holds(); got != want {
			return errors.New(got)
		}
		return nil
	})
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	set = openSet(t, dir, Options{Most: 4, Idle: time.Hour})
	defer set.Close()
	if got := set.holds(); got != want {
		t.Errorf("after a restart: %s", got)
	}
}

// TestRemovedTenantWasNotEmpty has a span come in just before its store closes.
func TestRemovedTenantWasNotEmpty(t *testing.T) {
	t.Parallel()
	set := openSet(t, t.TempDir(), Options{Most: 4, Idle: time.Hour})
	defer set.Close()
	for n := range uint64(3) {
		if err := set.add(t, "t1", n, 1); err != nil {
			t.Fatal(err)
		}
		before := set.Get("t1")
		set.remove(before)
		if got := set.holds(); got != fmt.Sprintf("single-tenant:0 t1:%d", n+1) || set.Get("t1") == before {
			t.Fatalf("after a removal too soon: %s", got)
		}
	}
}

// TestTenantsShareBounds has a greedy tenant beside a modest one.
func TestTenantsShareBounds(t *testing.T) {
	t.Parallel()
	set := openSet(t, t.TempDir(), Options{Most: 4, Idle: time.Hour, Store: store.Options{HeadMaxSpans: 1600}})
	defer set.Close()
	if err := set.add(t, "modest", 1, 300); err != nil {
		t.Fatal(err)
	}
	for n := range uint64(100) {
		if err := set.add(t, "greedy", n, 100); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, "the greedy tenant gives way", func() error {
		var modest, greedy int64
		if _, err := fmt.Sscanf(set.holds(), "greedy:%d modest:%d", &greedy, &modest); err != nil || modest != 300 || greedy > 1300 || greedy < 1000 {
			return errors.New(set.holds())
		}
		return nil
	})
}

func TestLevelOf(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		total int64
		used  []int64
		want  int64
	}{
		{0, []int64{5, 5}, 0},
		{10, nil, 10},
		{10, []int64{3, 7}, 10},
		{10, []int64{3, 8}, 7},
		{10, []int64{8, 3}, 7},
		{10, []int64{8, 8}, 5},
		{10, []int64{1, 8, 8}, 4},
		{10, []int64{100, 0, 2, 100}, 4},
		{2, []int64{9, 9, 9, 9}, 1},
	} {
		if got := levelOf(x.total, x.used); got != x.want {
			t.Errorf("levelOf(%d, %v) = %d, want %d", x.total, x.used, got, x.want)
		}
	}
}

// TestTenantsHaveRatesOfTheirOwn has one tenant send too much beside another.
func TestTenantsHaveRatesOfTheirOwn(t *testing.T) {
	t.Parallel()
	set := openSet(t, t.TempDir(), Options{Most: 4, Idle: time.Hour, Rate: 1, Burst: 1})
	defer set.Close()
	for _, id := range []string{"t1", "t2"} {
		if err := set.add(t, id, 1, 1); err != nil {
			t.Errorf("%s, first: %v", id, err)
		}
		var limited *rateLimitedError
		if err := set.add(t, id, 2, 1); !errors.As(err, &limited) {
			t.Errorf("%s, second: %v, want a refusal by rate", id, err)
		}
	}
	if got := set.Get("t1").Refused(); got != 1 {
		t.Errorf("%d refusals are counted", got)
	}
}
