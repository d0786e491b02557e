package program

import (
	"context"
	"encoding/json"
	"io"

	"etude/bench"
)

// benchCmd measures a trace backend on this machine from outside.
type benchCmd struct {
	Ingest    benchIngestCmd    `cmd:"" help:"How many spans a second it takes, and at which cost in CPU, memory and disk."`
	Freshness benchFreshnessCmd `cmd:"" help:"How soon after its acknowledgement a trace is found."`
	Query     benchQueryCmd     `cmd:"" help:"How fast queries are."`
}

// jsonFlag chooses the form of a report.
type jsonFlag struct {
	JSON bool `name:"json" help:"Print the report as JSON."`
}

type benchIngestCmd struct {
	bench.IngestOptions
	jsonFlag
}

// Run prints a report of a run that was cut short as well, and its error.
func (c *benchIngestCmd) Run(p *proc) error {
	report, err := bench.Ingest(p.ctx, c.IngestOptions, p.stderr)
	if report == nil {
		return err
	}
	return c.print(p, report, err)
}

type benchFreshnessCmd struct {
	bench.FreshnessOptions
	jsonFlag
}

func (c *benchFreshnessCmd) Run(p *proc) error {
	return runBench(p, bench.Freshness, c.FreshnessOptions, c.jsonFlag)
}

type benchQueryCmd struct {
	bench.QueryOptions
	jsonFlag
}

func (c *benchQueryCmd) Run(p *proc) error {
	return runBench(p, bench.Query, c.QueryOptions, c.jsonFlag)
}

type benchReport interface{ Write(io.Writer) error }

func runBench[O any, R benchReport](p *proc, run func(context.Context, O) (R, error), options O, form jsonFlag) error {
	report, err := run(p.ctx, options)
	if err != nil {
		return err
	}
	return form.print(p, report, nil)
}

// print prints the report and returns the error of its run, or its own.
func (f jsonFlag) print(p *proc, report benchReport, runErr error) error {
	var err error
	if f.JSON {
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = report.Write(p.stdout)
	}
	if runErr != nil {
		return runErr
	}
	return err
}
