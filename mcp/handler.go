package mcp

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// DefaultMaxBytes bounds the text of an answer unless Options say otherwise:
// some 20,000 tokens.
const DefaultMaxBytes = 64 << 10

// Options configure the server.
type Options struct {
	// PageURL is where a browser finds the page, such as http://localhost:3000;
	// "" leaves the links out.
	PageURL string

	// MaxBytes bounds the text of an answer; 0 means DefaultMaxBytes.
	MaxBytes int

	// Version is shown to clients.
	Version string

	// Logger receives warnings and errors of the protocol; nil for none.
	Logger *slog.Logger
}

// Handler answers MCP over streamable HTTP with what api, a handler of Tempo's
// HTTP API, says. Requests that a browser sends from another origin, or through
// a foreign name of this machine, are refused.
func Handler(api http.Handler, o Options) http.Handler {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	log := quiet(o.Logger)
	t := &tools{api: client{api}, page: links{strings.TrimRight(o.PageURL, "/")}, maxBytes: o.MaxBytes, shortening: make(chan struct{}, 1)}
	server := mcp.NewServer(&mcp.Implementation{Name: "etude", Title: "etude: traces", Version: o.Version}, &mcp.ServerOptions{
		Instructions: instructions,
		Capabilities: &mcp.ServerCapabilities{}, // not the default, which promises log messages
		Logger:       log,
	})
	t.add(server)
	addDocs(server)
	streamable := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{
		JSONResponse: true, SessionTimeout: sessionIdle, Logger: log,
		MaxRequestBodyBytes: 1 << 20, PropagateRequestCancellation: true,
	})
	return http.NewCrossOriginProtection().Handler(newSessions(server, streamable, maxSessions, time.Now))
}

const instructions = "Distributed traces, asked for in TraceQL. Start with get-attribute-names and get-attribute-values to learn " +
	"what can be asked for, read docs-traceql before writing a query that is more than one filter, find traces with traceql-search, " +
	"look at one with get-trace, and count or measure with the traceql-metrics tools. Answers are bounded: ask narrow questions."
