package block

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"etude/internal/fs"
	"etude/store/block/sidecar"
	"etude/trace"
)

// TestOldBlocksOpen opens blocks as this and earlier versions wrote them, each with its
// sidecar. A folder is named after the format and the version of the sidecar; a new
// version adds folders and changes none.
func TestOldBlocksOpen(t *testing.T) {
	t.Parallel()
	own := filepath.Join("testdata", "own")
	if *update {
		for _, f := range []Format{VParquet4, VParquet5} {
			dir := filepath.Join(own, fmt.Sprintf("%s-%d", f, sidecar.Version))
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
