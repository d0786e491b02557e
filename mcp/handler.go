package mcp

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// DefaultMaxBytes is the default limit on the text of an answer: about 20,000 tokens.
const DefaultMaxBytes = 64 << 10

// Options configure the server.
type Options struct {
	// PageURL is the URL of the page, such as http://localhost:3000; "" leaves out the links.
	PageURL string

	// MaxBytes limits the text of an answer; 0 means DefaultMaxBytes.
	MaxBytes int

	// Version is shown to clients.
	Version string

	// Logger receives warnings and errors of the protocol; nil for none.
	Logger *slog.Logger
}

// Handler serves MCP over streamable HTTP. It gets its answers from api, a handler of Tempo's HTTP API. It
// refuses requests that a browser sends from another origin or through another host name.
func Handler(api http.Handler, o Options) http.Handler {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	log := quiet(o.Logger)
	t := &tools{api: client{api}, page: links{strings.TrimRight(o.PageURL, "/")}, maxBytes: o.MaxBytes, shortening: make(chan struct{}, 1)}
	server := mcp.NewServer(&mcp.Implementation{Name: "etude", Title: "etude: traces", Version: o.Version}, &mcp.ServerOptions{
		Instructions: instructions,
		Capabilities: &mcp.ServerCapabilities{}, // the default promises log messages, which this server does not send
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

const instructions = "Distributed traces, queried with TraceQL. Start with get-attribute-names and get-attribute-values to learn " +
	"the attributes, read docs-traceql before writing a query that is more than one filter, find traces with traceql-search, " +
	"read one with get-trace, and count or measure with the traceql-metrics tools. Answers are limited in size: write narrow queries."
