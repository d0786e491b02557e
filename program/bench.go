package program

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"

	"etude/bench"
	"etude/internal/door"
	"etude/program/access"
	"etude/program/proc"
)

// benchCmd measures a trace backend on this machine from outside.
type benchCmd struct {
	Ingest    benchIngestCmd    `cmd:"" help:"Measure how many spans a second a backend accepts, and their cost in CPU, memory and disk."`
	Freshness benchFreshnessCmd `cmd:"" help:"Measure the time from a trace's acknowledgement until a query finds it."`
	Query     benchQueryCmd     `cmd:"" help:"Measure the speed of queries."`
	Blocks    benchBlocksCmd    `cmd:"" help:"Measure a backend with a long history: memory, startup, and queries right after startup and later."`
}

// jsonFlag chooses the format of a report.
type jsonFlag struct {
	JSON bool `name:"json" help:"Print the report as JSON."`
}

type benchIngestCmd struct {
	bench.IngestOptions
	access.Client `group:"client"`
	jsonFlag
}

func (c *benchIngestCmd) Run(p *proc.Proc) (err error) {
	if c.Access, err = benchAccess(&c.Client, door.Ingest); err != nil {
		return err
	}
	ingest := func(ctx context.Context, o bench.IngestOptions) (*bench.IngestReport, error) {
		return bench.Ingest(ctx, o, p.Stderr)
	}
	return runBench(p, ingest, c.IngestOptions, c.jsonFlag)
}

type benchFreshnessCmd struct {
	bench.FreshnessOptions
	access.Client `group:"client"`
	jsonFlag
}

func (c *benchFreshnessCmd) Run(p *proc.Proc) (err error) {
	if c.Access, err = benchAccess(&c.Client, door.Ingest|door.Query); err != nil {
		return err
	}
	return runBench(p, bench.Freshness, c.FreshnessOptions, c.jsonFlag)
}

type benchQueryCmd struct {
	bench.QueryOptions
	access.Client `group:"client"`
	jsonFlag
}

func (c *benchQueryCmd) Run(p *proc.Proc) (err error) {
	role := door.Query
	if c.IngestRate > 0 || c.IngestFull {
		role |= door.Ingest
	}
	if c.Access, err = benchAccess(&c.Client, role); err != nil {
		return err
	}
	return runBench(p, bench.Query, c.QueryOptions, c.jsonFlag)
}

type benchBlocksCmd struct {
	bench.BlocksOptions
	jsonFlag
}

// Run measures this program itself.
func (c *benchBlocksCmd) Run(p *proc.Proc) error {
	executable, err := os.Executable()
	if err != nil {
		return err
	}
	c.Server = []string{executable, "backend"}
	blocks := func(ctx context.Context, o bench.BlocksOptions) (*bench.BlocksReport, error) {
		return bench.Blocks(ctx, o, p.Stderr)
	}
	return runBench(p, blocks, c.BlocksOptions, c.jsonFlag)
}

// benchAccess returns the access of a measurement: a client with a token for the role.
func benchAccess(f *access.Client, role door.Role) (a bench.Access, err error) {
	if a.TLS, err = f.ClientTLS(); err != nil {
		return a, err
	}
	a.Authorization, err = f.Authorization(role)
	return a, err
}

type benchReport interface {
	comparable
	Write(io.Writer) error
}

// runBench prints the report and returns the run's error. It also prints the report of a run that was
// interrupted.
func runBench[O any, R benchReport](p *proc.Proc, run func(context.Context, O) (R, error), options O, form jsonFlag) error {
	report, runErr := run(p.Ctx, options)
	if report == *new(R) {
		return runErr
	}
	var err error
	if form.JSON {
		encoder := json.NewEncoder(p.Stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = report.Write(p.Stdout)
	}
	return errors.Join(runErr, err)
}
