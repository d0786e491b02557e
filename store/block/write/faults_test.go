package write_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"etude/internal/fs"
	"etude/store/block"
	"etude/store/block/layout"
	"etude/store/block/write"
	"etude/trace"
)

// writtenAs writes the spans of a block that a real Tempo wrote into a new block.
func writtenAs(t *testing.T, o block.WriteOptions) (dir string) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join("..", "testdata", "tempo", "v5", "single-tenant", "*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("find the block: %d found, %v", len(found), err)
	}
	o.Dir = t.TempDir()
	real := filepath.Join(o.Dir, filepath.Base(found[0]))
	if err := os.CopyFS(real, os.DirFS(found[0])); err != nil {
		t.Fatal(err)
	}
	b, err := block.Open(t.Context(), fs.OS, real, block.NewCache(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	var set block.Set
	set.Swap(nil, []*block.Block{b}, nil)
	defer set.Swap([]block.ID{b.Meta.ID}, nil, func(block.ID) {})
	parts := set.Snapshot()
	defer parts.Close()
	var views []*trace.View
	for i := range parts.Parts() {
		v, err := parts.Open(t.Context(), i, trace.Everything())
		if err != nil {
			t.Fatal(err)
		}
		views = append(views, v)
	}
	metas, err := block.Write(t.Context(), o, views)
	if err != nil {
		t.Fatal(err)
	}
	return block.Folder(o.Dir, metas[0].ID)
}

// Each rule is broken in turn, and Verify says which.
func TestVerifyFindsFaults(t *testing.T) {
	t.Parallel()
	column := func(of layout.Owner, f layout.Field, change func(*write.Column)) block.WriteOptions {
		return write.Tampered(func(l *layout.Leaf, c *write.Column) {
			if l.Of == of && l.Field == f {
				change(c)
			}
		})
	}
	first32 := (*write.Column).Add32
	first64 := (*write.Column).Add64
	for name, test := range map[string]struct {
		o    block.WriteOptions
		want string
	}{
		"order of traces":  {column(layout.OfTrace, layout.FieldID, (*write.Column).SwapFirst), "not sorted"},
		"nested set left":  {column(layout.OfSpan, layout.FieldLeft, first32), "NestedSetLeft"},
		"nested set right": {column(layout.OfSpan, layout.FieldRight, first32), "NestedSetRight"},
		"parent":           {column(layout.OfSpan, layout.FieldParentLeft, first32), "ParentID"},
		"children":         {column(layout.OfSpan, layout.FieldChildCount, first32), "ChildCount"},
		"rounded":          {column(layout.OfSpan, layout.FieldRounded60, first32), "StartTimeRounded60"},
		"spans of a scope": {column(layout.OfScope, layout.FieldSpanCount, first32), "SpanCount"},
		"errors":           {column(layout.OfStats, layout.FieldErrorCount, first32), "ServiceStats"},
		"services":         {column(layout.OfStats, layout.FieldService, (*write.Column).Rename), "ServiceStats"},
		"start":            {column(layout.OfTrace, layout.FieldStart, first64), "StartTimeUnixNano"},
		"end":              {column(layout.OfTrace, layout.FieldEnd, first64), "EndTimeUnixNano"},
		"duration":         {column(layout.OfTrace, layout.FieldDuration, first64), "DurationNano"},
		"root":             {column(layout.OfTrace, layout.FieldRootName, (*write.Column).Rename), "RootSpanName"},
		"root's service":   {column(layout.OfTrace, layout.FieldRootService, (*write.Column).Rename), "RootServiceName"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expectFault(t, writtenAs(t, test.o), test.want)
		})
	}
}

// TestDirect: whether the shredder copies columns or lists the attributes of each row, the file is the same.
func TestDirect(t *testing.T) {
	t.Parallel()
	for _, format := range []layout.Format{layout.VParquet5, layout.VParquet4} {
		for name, dedicated := range map[string][]layout.Dedicated{"chosen": nil, "none": {}} {
			direct, indirect := block.WriteOptions{}, write.Indirect()
			direct.Format, indirect.Format = format, format
			direct.Dedicated, indirect.Dedicated = dedicated, dedicated
			var files [2][]byte
			for i, o := range []block.WriteOptions{direct, indirect} {
				data, err := os.ReadFile(filepath.Join(writtenAs(t, o), layout.DataName))
				if err != nil {
					t.Fatal(err)
				}
				files[i] = data
			}
			if !bytes.Equal(files[0], files[1]) {
				t.Errorf("%s, %s columns: %d and %d bytes differ", format, name, len(files[0]), len(files[1]))
			}
		}
	}
}

func expectFault(t *testing.T, dir, want string) {
	t.Helper()
	r, err := block.Verify(t.Context(), fs.OS, dir)
	if err != nil {
		r = &block.Report{Faults: []string{err.Error()}}
	}
	if !strings.Contains(strings.Join(r.Faults, "\n"), want) {
		t.Errorf("faults %q, want one with %q", r.Faults, want)
	}
}
