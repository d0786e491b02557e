package program

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"etude/assert"
)

// ephemeral is a backend on free ports, with its data in a directory of its own
// that goes with it. No metrics are kept.
type ephemeral struct {
	*backendRun
	dir    string
	source *assert.API
}

// startEphemeral starts a backend with every flag at its default, whatever the
// environment says: a test must not depend on it.
func startEphemeral(log *slog.Logger) (*ephemeral, error) {
	dir, err := os.MkdirTemp("", "etude-test-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the spans: %w", err)
	}
	c, err := defaultBackend("--data-dir="+dir, "--metrics.off", "--wal-sync=interval", "--retention=0", "--no-blocks")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	c.backendAddrs.each(func(_ string, _ int, addr *string) { *addr = "127.0.0.1:0" })
	c.derive(memoryFor(c.Memory))
	doors, err := c.doorFlags.open(log)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	e := &ephemeral{backendRun: &backendRun{cmd: c, log: log, doors: doors}, dir: dir}
	if err := e.open(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("start a backend: %w", err), e.close())
	}
	e.ready.Store(true)
	e.source = assert.InProcess(e.api)
	return e, nil
}

// defaultBackend is the command `backend` as its flags make it, without the
// variables of the environment.
func defaultBackend(args ...string) (*backendCmd, error) {
	parser, err := newParser(io.Discard, io.Discard)
	if err != nil {
		return nil, err
	}
	for _, node := range parser.Model.Leaves(false) {
		for _, flag := range node.Flags {
			flag.Tag.Envs, flag.Envs = nil, nil
		}
	}
	parsed, err := parser.Parse(append([]string{"backend"}, args...))
	if err != nil {
		return nil, fmt.Errorf("set up a backend: %w", err)
	}
	return parsed.Selected().Target.Addr().Interface().(*backendCmd), nil
}

func (e *ephemeral) close() error {
	return errors.Join(e.backendRun.close(), os.RemoveAll(e.dir))
}

// received counts the spans that have come, those that came twice included. It is
// cheap, and changes with each that comes.
func (e *ephemeral) received() (n int64) {
	for _, t := range e.stores.Tenants() {
		st := t.Stats()
		n += st.Appended + st.Duplicates
	}
	return n
}

// endpoint is where OTLP is received, over HTTP and over gRPC.
func (e *ephemeral) endpoint() string { return "http://" + e.receive.Addrs().OTLPHTTP }
