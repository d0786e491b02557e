package program

import (
	"context"
	"fmt"

	"etude/program/flags"
	"etude/program/proc"

	iofs "io/fs"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"etude/internal/fs"
	"etude/store/block"
)

// blockCmd reads blocks on disk, etude's or Tempo's. It writes nothing, so a backend may run at the same time.
type blockCmd struct {
	Verify  blockVerifyCmd  `cmd:"" help:"Check the blocks below a path against the rules of Tempo's format; exit with 1 when a block breaks one."`
	Ls      blockLsCmd      `cmd:"" help:"List the blocks below a path."`
	Inspect blockInspectCmd `cmd:"" help:"Show the sizes of the columns and files of the blocks below a path."`
}

// blockPath is the argument that locates blocks.
type blockPath struct {
	Path string `arg:"" type:"existingdir" help:"A block, a tenant's folder, a bucket on disk, or a data directory."`
}

// each calls f for every block below the path, in order.
func (p *blockPath) each(ctx context.Context, f func(dir string) error) error {
	found := 0
	err := filepath.WalkDir(p.Path, func(path string, d iofs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() != block.MetaName {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		found++
		return f(filepath.Dir(path))
	})
	if err == nil && found == 0 {
		return fmt.Errorf("find blocks: there is no %s at or below %s", block.MetaName, p.Path)
	}
	return err
}

type blockVerifyCmd struct{ blockPath }

// Run prints a line for each block, and a line for each fault.
func (c *blockVerifyCmd) Run(p *proc.Proc) error {
	bad := false
	err := c.each(p.Ctx, func(dir string) error {
		r, err := block.Verify(p.Ctx, fs.OS, dir)
		switch {
		case err != nil:
			bad = true
			fmt.Fprintf(p.Stdout, "%s: cannot be read: %v\n", dir, err)
		case len(r.Faults) > 0:
			bad = true
			for _, fault := range r.Faults {
				fmt.Fprintf(p.Stdout, "%s: %s\n", dir, fault)
			}
		default:
			fmt.Fprintf(p.Stdout, "%s: %s, %d traces, %d spans: good\n", dir, r.Meta.Format, r.Meta.Traces, r.Spans)
		}
		return nil
	})
	if err == nil && bad {
		return proc.ErrQuiet
	}
	return err
}

type blockLsCmd struct{ blockPath }

// Run prints a table.
func (c *blockLsCmd) Run(p *proc.Proc) error {
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TENANT\tBLOCK\tFORMAT\tLEVEL\tSTART\tEND\tTRACES\tROW GROUPS\tSIZE")
	err := c.each(p.Ctx, func(dir string) error {
		b, err := os.ReadFile(filepath.Join(dir, block.MetaName))
		if err != nil {
			return err
		}
		m, err := block.ParseMeta(b)
		if err != nil {
			fmt.Fprintf(w, "\t%s\t%v\n", filepath.Base(dir), err)
			return nil
		}
		size := flags.Bytes(m.Size)
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%d\t%d\t%s\n", m.Tenant, m.ID, m.Format, m.CompactionLevel,
			m.Start.UTC().Format(time.RFC3339), m.End.UTC().Format(time.RFC3339), m.Traces, m.RowGroups, &size)
		return nil
	})
	if err == nil {
		err = w.Flush()
	}
	return err
}

type blockInspectCmd struct{ blockPath }

// Run prints the files and columns of each block, with their size in bytes and in bytes per span.
func (c *blockInspectCmd) Run(p *proc.Proc) error {
	return c.each(p.Ctx, func(dir string) error {
		in, err := block.Inspect(p.Ctx, fs.OS, dir)
		if err != nil {
			return err
		}
		fmt.Fprintf(p.Stdout, "%s: %s, %d traces, %d spans in %d row groups\n", dir, in.Meta.Format, in.Meta.Traces, in.Spans, len(in.Parts))
		w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
		perSpan := func(n int64) float64 { return float64(n) / float64(max(1, in.Spans)) }
		for _, f := range in.Files {
			fmt.Fprintf(w, "%d\t%.2f\t  %s\n", f.Size, perSpan(f.Size), f.Name)
		}
		for _, col := range in.Columns {
			name := col.Name
			if col.Key != "" {
				name += " (" + col.Key + ")"
			}
			fmt.Fprintf(w, "%d\t%.2f\t  %s %s, %d entries\n", col.Bytes, perSpan(col.Bytes), name, col.Codec, col.Entries)
		}
		return w.Flush()
	})
}
