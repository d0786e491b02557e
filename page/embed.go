// Package page serves the web page: the files that the build of src/ left in
// dist/, the APIs that the page reads, on the same origin, and etude.json, which
// tells the page where the other parts of the demo are. It serves the start page
// of the embedded Prometheus as well, from the same build.
//
// Everything is embedded, so the binary needs no files and Go alone builds it.
// The page asks nothing of any other host: its content security policy forbids it.
package page

import "embed"

//go:embed all:dist
var dist embed.FS

// Info is what etude.json answers.
type Info struct {
	Version string `json:"version"`
	Links   Links  `json:"links"`
}

// Links are the addresses of the parts, as a browser reaches them. The page
// hides what is empty.
type Links struct {
	Edge       string         `json:"edge,omitempty"`
	Dashboard  string         `json:"dashboard,omitempty"`
	Page       string         `json:"page,omitempty"`
	Prometheus string         `json:"prometheus,omitempty"`
	API        string         `json:"api,omitempty"`
	OTLPGRPC   string         `json:"otlpGrpc,omitempty"` // host:port
	OTLPHTTP   string         `json:"otlpHttp,omitempty"`
	Jaeger     string         `json:"jaeger,omitempty"`
	Services   []ServiceLinks `json:"services,omitempty"`
}

// ServiceLinks are the ways to one service: past the edge, through it by host
// name, and through it by path, for systems that do not resolve *.localhost.
type ServiceLinks struct {
	Name     string `json:"name"`
	Direct   string `json:"direct,omitempty"`
	Edge     string `json:"edge,omitempty"`
	EdgePath string `json:"edgePath,omitempty"`
}
