package program

import "github.com/alecthomas/kong"

// flagGroups are the headings of --help. Every flag of `up`, `backend` and `edge` names one by its key, in the
// struct that declares the flag or where that struct is embedded.
var flagGroups = []kong.Group{
	{Key: "parts", Title: "Parts"},
	{Key: "listen", Title: "Listeners", Description: "HOST:PORT, or several separated by commas. localhost is 127.0.0.1 and [::1]."},
	{Key: "door", Title: "Access", Description: "By default, only this machine may connect, without TLS and without a token. See docs/security.md."},
	{Key: "client", Title: "Outgoing connections"},
	{Key: "storage", Title: "Storage"},
	{Key: "ingest", Title: "Ingest limits"},
	{Key: "query", Title: "Query limits"},
	{Key: "tenants", Title: "Tenants"},
	{Key: "labs", Title: "Labs"},
	{Key: "edge", Title: "Edge"},
	{Key: "self", Title: "Self-tracing"},
	{Key: "metrics", Title: "Prometheus"},
	{Key: "generator", Title: "Metrics computed from spans"},
}
