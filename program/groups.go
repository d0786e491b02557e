package program

import "github.com/alecthomas/kong"

// flagGroups are the headings of --help. Every flag of `up`, `backend` and `edge`
// names one by its key, in the struct that declares it or where that is embedded.
var flagGroups = []kong.Group{
	{Key: "parts", Title: "Parts"},
	{Key: "listen", Title: "Where etude listens", Description: "HOST:PORT, or several separated by commas. localhost is 127.0.0.1 and [::1]."},
	{Key: "door", Title: "Who may connect", Description: "By default this machine alone, without TLS and without a token. See docs/security.md."},
	{Key: "client", Title: "How etude connects to others"},
	{Key: "storage", Title: "What is kept"},
	{Key: "ingest", Title: "What clients may send"},
	{Key: "query", Title: "What queries may take"},
	{Key: "tenants", Title: "Tenants"},
	{Key: "labs", Title: "Labs"},
	{Key: "edge", Title: "The edge"},
	{Key: "self", Title: "Traces of the backend itself"},
	{Key: "metrics", Title: "The embedded Prometheus"},
	{Key: "generator", Title: "Metrics computed from spans"},
}
