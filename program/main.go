// Package program is the command line, and the only package that wires the parts together. It starts parts in
// the order of their dependencies and stops them in reverse, listeners first and storage last, so that accepted
// data is not lost.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"reflect"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"etude/program/backend"
	"etude/program/flags"
	"etude/program/memory"
	"etude/program/proc"
	"etude/program/supervise"
	"etude/program/testcmd"
)

// Version is the version that `etude version` and the build-info route show. The linker sets it in a release
// build.
var Version = "0.1.0-dev"

type cli struct {
	Up        upCmd           `cmd:"" help:"Run the whole demo: edge, four services, trace backend and page. Start here."`
	Backend   backend.Command `cmd:"" help:"Run the trace backend alone. It receives OTLP, Jaeger and Zipkin, and serves Tempo's API and the page."`
	Edge      edgeCmd         `cmd:"" help:"Run the edge proxy alone. It routes requests by rules and starts their traces."`
	Uservice1 serviceCmd      `cmd:"" name:"uservice1" help:"Run toy service 1, which calls service 2; not instrumented."`
	Uservice2 serviceCmd      `cmd:"" name:"uservice2" help:"Run toy service 2, a mock database; not instrumented."`
	Uservice3 serviceCmd      `cmd:"" name:"uservice3" help:"Run toy service 3: uservice1 with instrumentation, which calls service 4."`
	Uservice4 serviceCmd      `cmd:"" name:"uservice4" help:"Run toy service 4: uservice2 with instrumentation."`
	Test      testcmd.Command `cmd:"" help:"Run a command, receive its spans, and check expectations about them."`
	Lab       labCmd          `cmd:"" help:"Do the labs of a running etude up: list, start, check, hint, reset, next."`
	Load      loadCmd         `cmd:"" help:"Send requests through the edge at a steady rate and summarize their latencies."`
	Block     blockCmd        `cmd:"" help:"Examine blocks, files of spans in Tempo's format: verify, ls, inspect."`
	Bench     benchCmd        `cmd:"" help:"Measure a trace backend on this machine: ingest, freshness, queries, history."`
	Health    healthCmd       `cmd:"" help:"Check that a URL answers and exit with 0, or with 1 if not; for health checks of containers."`
	Version   versionCmd      `cmd:"" help:"Print the version."`
}

const description = `A distributed-tracing system in one binary: an edge proxy that starts traces, four toy
services to learn from, a durable trace backend that speaks Tempo's API, and a page to explore traces.

Start with:   etude up      then open http://localhost:3000/

Every flag that names an address or a directory can be set by an environment variable as well.`

// Main runs one command and returns the exit status: 0 for success, 1 for an error, 2 for a wrong command line.
// `test` returns the status of the command it runs.
func Main(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parser, err := newParser(args[0], stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "etude:", err)
		return 2
	}
	command, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "etude: %v\nSee: etude --help\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx = supervise.UntilParentGoes(ctx)
	memory.For(flags.Auto).LimitOwn()
	p := &proc.Proc{Ctx: ctx, Stdout: stdout, Stderr: stderr, Log: newLogger(stderr), Build: proc.Build{Version: Version, Revision: revision()}}
	if err := command.Run(p); err != nil {
		if status, ok := errors.AsType[proc.ExitStatus](err); ok {
			return int(status)
		}
		if !errors.Is(err, proc.ErrQuiet) {
			fmt.Fprintln(stderr, "etude:", err)
		}
		return 1
	}
	return 0
}

// newParser returns the parser of a command line that begins with the word first.
func newParser(first string, stdout, stderr io.Writer) (*kong.Kong, error) {
	return kong.New(grammar(first), kong.Name("etude"), kong.Description(description),
		kong.Writers(stdout, stderr), kong.UsageOnError(), memory.HelpVars(), kong.ExplicitGroups(flagGroups), kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}))
}

// grammar is a cli that has the command called name alone, or every command when
// none is called so. Kong's model of a command costs memory for as long as the
// command runs, and `up` runs six of them: all commands are 3 MB, one is 0.3.
func grammar(name string) any {
	all := reflect.TypeFor[cli]()
	for i := range all.NumField() {
		if f := all.Field(i); strings.ToLower(f.Name) == name {
			return reflect.New(reflect.StructOf([]reflect.StructField{f})).Interface()
		}
	}
	return new(cli)
}

func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.String(slog.TimeKey, a.Value.Time().Format("15:04:05.000"))
		}
		return a
	}}))
}

type versionCmd struct{}

func (versionCmd) Run(p *proc.Proc) error {
	fmt.Fprintln(p.Stdout, "etude", p.Version, p.Revision)
	return nil
}

// revision is the commit recorded by Go in the binary, or "".
func revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
