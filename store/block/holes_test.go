package block

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"etude/internal/fs"
	"etude/store/block/layout"
)

// TestFilesWithHoles: a small file of a block that has been made a terabyte long is
// refused, or made anew; its size is not believed.
func TestFilesWithHoles(t *testing.T) {
	t.Parallel()
	for name, opens := range map[string]bool{MetaName: false, layout.SidecarName: true} {
		block := writtenAs(t, WriteOptions{}, "v5")
		if err := os.Truncate(filepath.Join(block, name), 1<<40); err != nil {
			t.Fatal(err)
		}
		b, err := Open(context.Background(), fs.OS, block, NewCache(0))
		if (err == nil) != opens {
			t.Errorf("%s with holes: %v", name, err)
		}
		if err == nil {
			b.Close()
		}
	}
}
