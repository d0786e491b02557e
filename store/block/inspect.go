package block

import (
	"context"
	"path/filepath"

	"etude/internal/fs"
	"etude/trace"
)

// Inspection is the size of a block's files and of each column.
type Inspection struct {
	Meta    *Meta
	Parts   []trace.Part
	Spans   int
	Files   []fs.Info
	Columns []ColumnSize // in the order of the file
}

// ColumnSize is the size of a column in data.parquet, summed over all row groups.
type ColumnSize struct {
	Name    string // the path, its names joined by dots
	Key     string // of the attribute that the column is for; "" for other columns
	Bytes   int64
	Entries int64 // nulls included
	Codec   string
}

// Inspect reads the metadata of a block, and the spans only if it has no sidecar.
func Inspect(ctx context.Context, fsys fs.FS, dir string) (*Inspection, error) {
	b, err := Open(ctx, readOnly{fsys}, dir, NewCache(0))
	if err != nil {
		return nil, err
	}
	defer b.Close()
	in := &Inspection{Meta: b.Meta, Parts: b.Parts()}
	for _, p := range in.Parts {
		in.Spans += p.Spans
	}
	if in.Files, err = fsys.List(filepath.Clean(dir)); err != nil {
		return nil, err
	}
	keys := map[string]string{}
	for _, c := range b.columns {
		keys[c.Name()] = c.Key
	}
	for i, l := range b.footer.leaves {
		size := ColumnSize{Name: l.path, Key: keys[l.path]}
		for _, g := range b.footer.groups {
			size.Bytes += g.chunks[i].size
			size.Entries += int64(g.chunks[i].entries)
			size.Codec = g.chunks[i].codec.String()
		}
		in.Columns = append(in.Columns, size)
	}
	return in, nil
}
