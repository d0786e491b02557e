package block

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"etude/internal/fs"
	"etude/internal/testkit"
	"etude/store/block/layout"
	"etude/trace"
)

func TestVerifyRealBlocks(t *testing.T) {
	t.Parallel()
	for _, name := range testkit.TempoBlocks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := Verify(t.Context(), fs.OS, realBlock(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Faults) > 0 || r.Spans == 0 {
				t.Errorf("%d spans, faults:\n%s", r.Spans, strings.Join(r.Faults, "\n"))
			}
		})
	}
}

// writtenAs writes a block of a data set into a new folder.
func writtenAs(t testing.TB, o WriteOptions, name string) (dir string) {
	t.Helper()
	o.Dir = t.TempDir()
	metas, err := Write(context.Background(), o, []*trace.View{dataOf(t, name)})
	if err != nil {
		t.Fatal(err)
	}
	return Folder(o.Dir, metas[0].ID)
}

func TestVerifyOwnBlocks(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"v5", "weird", "v5groups"} {
		for _, f := range []Format{VParquet4, VParquet5} {
			r, err := Verify(t.Context(), fs.OS, writtenAs(t, WriteOptions{Format: f, PageSpans: 100}, name))
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Faults) > 0 {
				t.Errorf("%s of %s:\n%s", f, name, strings.Join(r.Faults, "\n"))
			}
		}
	}
}

func expectFault(t *testing.T, dir, want string) {
	t.Helper()
	r, err := Verify(t.Context(), fs.OS, dir)
	if err != nil {
		r = &Report{Faults: []string{err.Error()}}
	}
	if !strings.Contains(strings.Join(r.Faults, "\n"), want) {
		t.Errorf("faults %q, want one with %q", r.Faults, want)
	}
}

func TestVerifyFindsWrongFiles(t *testing.T) {
	t.Parallel()
	meta := func(change func(*Meta)) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			m := mustMeta(t, dir)
			change(m)
			b, err := json.Marshal(m)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, MetaName), b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for want, change := range map[string]func(*testing.T, string){
		"footerSize":        meta(func(m *Meta) { m.FooterSize-- }),
		"totalObjects":      meta(func(m *Meta) { m.Traces++ }),
		"replicationFactor": meta(func(m *Meta) { m.Replication = 0 }),
		"blockID":           meta(func(m *Meta) { m.ID = layout.NewID() }),
		"row groups":        meta(func(m *Meta) { m.RowGroups++ }),
		"bytes":             meta(func(m *Meta) { m.Size++ }),
		"startTime":         meta(func(m *Meta) { m.Start = m.Start.AddDate(0, 0, -1) }),
		"must be":           meta(func(m *Meta) { m.Dedicated = m.Dedicated[1:] }),
		"bloom-1":           meta(func(m *Meta) { m.BloomShards++ }),
		"is missing": func(t *testing.T, dir string) {
			empty := layout.NewBloomShards(1)
			if err := os.WriteFile(filepath.Join(dir, layout.BloomName(0)), empty.File(0), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"last trace id": func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, layout.IndexName), []byte(`{"rowGroups":[]}`), 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"checksum": func(t *testing.T, dir string) {
			name := filepath.Join(dir, layout.DataName)
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)/3] ^= 1
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			dir := writtenAs(t, WriteOptions{}, "v5")
			change(t, dir)
			expectFault(t, dir, want)
		})
	}
}
