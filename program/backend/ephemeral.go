package backend

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/alecthomas/kong"

	"etude/assert"
	"etude/program/memory"
	"etude/program/proc"
)

// Ephemeral is a backend on free ports. Its data directory is temporary, and it has no Prometheus.
type Ephemeral struct {
	*backendRun
	dir    string
	Source *assert.API
}

// StartEphemeral starts a backend with every flag at its default. It ignores the environment variables of
// flags, so that a test does not depend on them.
func StartEphemeral(build proc.Build, log *slog.Logger) (*Ephemeral, error) {
	dir, err := os.MkdirTemp("", "etude-test-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the spans: %w", err)
	}
	c, err := defaultBackend("--data-dir="+dir, "--metrics.off", "--wal-sync=interval", "--retention=0", "--no-blocks")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	c.Backend.Each(func(_ string, _ int, addr *string) { *addr = "127.0.0.1:0" })
	c.derive(memory.For(c.Memory))
	doors, err := c.Flags.Open(log)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	e := &Ephemeral{backendRun: &backendRun{cmd: c, log: log, doors: doors, build: build}, dir: dir}
	if err := e.open(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("start a backend: %w", err), e.Close())
	}
	e.ready.Store(true)
	e.Source = assert.InProcess(e.api)
	return e, nil
}

// defaultBackend parses the flags of the command `backend` without environment variables.
func defaultBackend(args ...string) (*Command, error) {
	c := &Command{}
	parser, err := kong.New(c, kong.Writers(io.Discard, io.Discard), memory.HelpVars())
	if err != nil {
		return nil, err
	}
	for _, flag := range parser.Model.Flags {
		flag.Tag.Envs, flag.Envs = nil, nil
	}
	if _, err := parser.Parse(args); err != nil {
		return nil, fmt.Errorf("set up a backend: %w", err)
	}
	return c, nil
}

// Close stops the backend and removes its data.
func (e *Ephemeral) Close() error {
	return errors.Join(e.backendRun.close(), os.RemoveAll(e.dir))
}

// Received returns the number of spans received, duplicates included. It is cheap, and grows with each span
// received.
func (e *Ephemeral) Received() (n int64) {
	for _, t := range e.stores.Tenants() {
		st := t.Stats()
		n += st.Appended + st.Duplicates
	}
	return n
}

// ZipkinURL is the URL that receives spans in Zipkin's format.
func (e *Ephemeral) ZipkinURL() string { return "http://" + e.receive.Addrs().Zipkin + "/api/v2/spans" }

// APIURL is the base URL of Tempo's API.
func (e *Ephemeral) APIURL() string { return e.urls[0] }

// Endpoint is the URL that receives OTLP over HTTP and over gRPC.
func (e *Ephemeral) Endpoint() string { return "http://" + e.receive.Addrs().OTLPHTTP }
