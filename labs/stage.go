package labs

import (
	"context"
	"io"
	"maps"
	"slices"

	"etude/assert"
)

// Stage is where labs are played: a backend and the power to run services that
// send their spans to it.
type Stage interface {
	assert.Source
	// Send stores spans, OTLP TracesData in protobuf. They can be found when it
	// returns.
	Send(ctx context.Context, spans []byte) error
	// Start starts a service of the demo, or another program with a service's
	// arguments, as a process with these variables. Its spans come to this backend.
	Start(ctx context.Context, command Command) (Running, error)
	// Endpoint is where OTLP is received: http://HOST:PORT.
	Endpoint() string
	// Fresh starts an empty backend of its own, to be closed by the caller.
	Fresh() (Backend, error)
}

// Backend is an empty backend.
type Backend interface {
	assert.Source
	Send(ctx context.Context, spans []byte) error
	io.Closer
}

// Command is a process to be started. Program is "" for etude itself.
type Command struct {
	Program, Service string
	Env              []string
}

// Running is a process of a lab that listens.
type Running interface {
	// URL is where it listens.
	URL() string
	// Output is its output so far.
	Output() string
	// Stop ends it as SIGTERM does, so that it sends its waiting spans, and waits; Kill
	// ends it as kill -9 does.
	Stop()
	Kill()
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
