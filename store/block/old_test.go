package block

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"etude/internal/fs"
	"etude/store/block/sidecar"
	"etude/trace"
)

// TestOldBlocksOpen opens blocks as this and earlier versions wrote them, each with its
// sidecar. A folder is named after the format and the version of the sidecar, and between
// them after what else was new; a new version adds folders and changes none.
func TestOldBlocksOpen(t *testing.T) {
	t.Parallel()
	own := filepath.Join("testdata", "own")
	if *update {
		for _, f := range []Format{VParquet4, VParquet5} {
			dir := filepath.Join(own, fmt.Sprintf("%s-snappy-%d", f, sidecar.Version))
			if _, err := os.Stat(dir); err == nil {
				continue
			}
			block := writtenAs(t, WriteOptions{Format: f}, "weird")
			if err := os.CopyFS(filepath.Join(dir, filepath.Base(block)), os.DirFS(block)); err != nil {
				t.Fatal(err)
			}
		}
	}
	dirs, err := filepath.Glob(filepath.Join(own, "*", "*"))
	if err != nil || len(dirs) < 2 {
		t.Fatal(dirs, err)
	}
	want := exactly(dataOf(t, "weird"))
	for _, dir := range dirs {
		got := map[string][]string{}
		b := openBlock(t, dir)
		if old := !strings.HasSuffix(filepath.Dir(dir), fmt.Sprint("-", sidecar.Version)); b.Outdated() != old || b.Bare() {
			t.Errorf("%s: outdated %t, want %t; bare %t", dir, b.Outdated(), old, b.Bare())
		}
		for _, p := range b.parts {
			v, err := p.open(context.Background(), trace.Everything())
			if err != nil {
				t.Fatal(err)
			}
			for id, spans := range exactly(v) {
				got[id] = spans
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-data +block):\n%s", dir, diff)
		}
		r, err := Verify(t.Context(), fs.OS, dir)
		if err != nil || len(r.Faults) > 0 {
			t.Errorf("%s: %v %v", dir, err, r)
		}
	}
}

// TestOldSidecar opens a block with the sidecar of an earlier version, which rules out what it knows, and renews it.
func TestOldSidecar(t *testing.T) {
	t.Parallel()
	dirs, err := filepath.Glob(filepath.Join("testdata", "own", "*-2", "*"))
	if err != nil || len(dirs) == 0 {
		t.Fatal(dirs, err)
	}
	for _, from := range dirs {
		dir := filepath.Join(t.TempDir(), filepath.Base(from))
		if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		old, err := OpenBare(fs.OS, dir, NewCache(1<<20))
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		renewed, err := old.Surveyed(t.Context(), fs.OS, func() {})
		if err != nil {
			t.Fatal(err)
		}
		defer renewed.Close()
		again := openBlock(t, dir)
		for i, b := range []*Block{old, renewed, again} {
			if b.Bare() || b.Outdated() != (i == 0) {
				t.Errorf("%s: block %d: bare %t, outdated %t", from, i, b.Bare(), b.Outdated())
			}
			for _, p := range b.parts {
				v, err := p.open(t.Context(), trace.Everything())
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range conditionsOf(v) {
					if p.facts.Excludes(&c) {
						t.Errorf("%s: block %d rules out %+v, which is there", from, i, c)
					}
				}
				if !p.facts.Excludes(&trace.Condition{Key: "no.such.key"}) {
					t.Errorf("%s: block %d may have a key that is not there", from, i)
				}
			}
		}
	}
}
