// Package page serves the web page: the files that the build of src/ wrote to dist/, the APIs that the page
// reads, on the same origin, and etude.json, which has the addresses of the demo's other parts. It also serves
// the start page of the embedded Prometheus and the dashboard of the edge, from the same build.
//
// Everything is embedded, so the binary needs no files, and building it needs only Go. The page sends no
// request to any other host: its content security policy forbids it.
package page

import "embed"

//go:embed all:dist
var dist embed.FS

// Info is the content of etude.json.
type Info struct {
	Version string `json:"version"`
	Links   Links  `json:"links"`
}

// Links are the addresses of the parts for a browser. The page hides empty ones.
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

// ServiceLinks are the addresses of one service: directly, through the edge by host name, and through the edge
// by path, for systems that do not resolve *.localhost.
type ServiceLinks struct {
	Name     string `json:"name"`
	Direct   string `json:"direct,omitempty"`
	Edge     string `json:"edge,omitempty"`
	EdgePath string `json:"edgePath,omitempty"`
}
