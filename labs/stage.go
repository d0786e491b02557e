package labs

import (
	"context"
	"io"
	"maps"
	"slices"

	"etude/assert"
)

// Stage is the environment of labs: a backend, and a way to run services that send their spans to it.
type Stage interface {
	assert.Source
	// Send stores spans, OTLP TracesData in protobuf. When it returns, queries find them.
	Send(ctx context.Context, spans []byte) error
	// Start starts a service of the demo, or another program with a service's arguments, as a process with
	// these variables. The process sends its spans to this backend.
	Start(ctx context.Context, command Command) (Running, error)
	// Endpoint is the URL that receives OTLP: http://HOST:PORT.
	Endpoint() string
	// Fresh starts a separate, empty backend, which the caller closes.
	Fresh() (Backend, error)
}

// Backend is an empty backend.
type Backend interface {
	assert.Source
	Send(ctx context.Context, spans []byte) error
	io.Closer
}

// Command is a process to start. Program is "" for etude itself.
type Command struct {
	Program, Service string
	Env              []string
}

// Running is a process of a lab that listens.
type Running interface {
	// URL is the address at which it listens.
	URL() string
	// Output is its output so far.
	Output() string
	// Stop ends the process as SIGTERM does, so that it sends its waiting spans, and waits for its end. Kill
	// ends it as kill -9 does.
	Stop()
	Kill()
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
