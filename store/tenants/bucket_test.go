package tenants

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"etude/internal/fs"
	"etude/internal/testkit"
	"etude/store"
	"etude/store/block"
)

// All tenants' blocks lie in one folder, as in a Tempo's bucket: a folder for each
// tenant, whose name the blocks have. A tenant that goes takes its own.
func TestTenantsShareABucket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := Options{Idle: time.Hour, Store: store.Options{Blocks: &store.BlockOptions{After: time.Millisecond}}}
	set := openSet(t, dir, o)
	for i, id := range []string{"single-tenant", "t1", "t2"} {
		if err := set.add(t, id, uint64(i+1), i+2); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Until(t, "all spans are in blocks", func() bool {
		return !slices.ContainsFunc(set.Tenants(), func(t *Tenant) bool { return t.Stats().Blocks == 0 })
	})
	holds := set.holds()
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"single-tenant", "t1", "t2"} {
		metas, err := filepath.Glob(filepath.Join(dir, "blocks", id, "*", "meta.json"))
		if len(metas) != 1 || err != nil {
			t.Errorf("tenant %s has %d blocks, %v", id, len(metas), err)
			continue
		}
		report, err := block.Verify(t.Context(), fs.OS, filepath.Dir(metas[0]))
		if err != nil || len(report.Faults) > 0 || report.Meta.Tenant != id {
			t.Errorf("tenant %s: %+v, %v", id, report, err)
		}
	}
	o.Idle = time.Millisecond
	o.Store.Blocks = &store.BlockOptions{After: time.Hour}
	set = openSet(t, dir, o)
	if got := set.holds(); got != holds {
		t.Errorf("opened again, tenants hold %s; before %s", got, holds)
	}
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	o.Store.Retention = time.Millisecond
	set = openSet(t, dir, o)
	testkit.Until(t, "tenants without spans are gone", func() bool { return len(set.Tenants()) == 1 })
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"t1", "t2"} {
		if _, err := os.Stat(filepath.Join(dir, "blocks", id)); !os.IsNotExist(err) {
			t.Errorf("the folder of blocks of tenant %s: %v", id, err)
		}
	}
}
