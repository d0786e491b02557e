package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Write prints the report as two tables.
func (r *BlocksReport) Write(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(tab, name+"\t"+format+"\n", args...) }
	n := float64(max(r.InBlocks, 1))
	row("spans", "%d, %d of them in %d blocks", r.Spans, r.InBlocks, r.Blocks)
	row("blocks", "%.1f B a span, of which sidecars %.1f", float64(r.BlockBytes)/n, float64(r.Sidecars)/n)
	row("ready", "%.0f ms after the start", r.Ready)
	if r.Peak > 0 {
		row("memory", "%.0f MiB after a start, %.0f after all queries, peak %.0f", mib(r.Started), mib(r.Asked), mib(r.Peak))
	}
	if err := tab.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(tab, "query\tfirst p50 ms\twarm p50 ms\tp99 ms\tCPU ms\tasked\tbytes\terrors\t")
	for _, q := range r.Queries {
		fmt.Fprintf(tab, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%d\t%d\t%d\t%s\n", q.Name, q.Cold.P50, q.P50, q.P99, q.CPU, q.Asked, q.Bytes, q.Errors, q.Error)
	}
	return tab.Flush()
}
