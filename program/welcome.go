package program

import (
	"fmt"
	"io"
	"net"
	"time"

	"etude/page"
	"etude/program/access"
	"etude/program/backend"
	"etude/program/listen"
)

// info returns the links that the page shows. Browsers resolve *.localhost to this machine; other programs may
// not.
func (c *upCmd) info(edge, version string) page.Info {
	info := backend.LinksOf(&c.Backend, &c.Flags, version)
	scheme := c.Scheme(access.EntryListener)
	info.Links.Edge = listen.BrowserURL(scheme, edge)
	info.Links.Dashboard = listen.BrowserURL(c.Scheme("dashboard"), c.DashboardAddr) + "/dashboard/"
	for i, s := range services {
		info.Links.Services = append(info.Links.Services, page.ServiceLinks{
			Name: s.name, Direct: listen.BrowserURL("http", c.serviceAddr(i)) + "/",
			Edge: hostURL(scheme, s.name+".localhost", edge), EdgePath: listen.BrowserURL(scheme, edge) + "/" + s.name + "/",
		})
	}
	return info
}

// hostURL is the URL of a virtual host at an address.
func hostURL(scheme, host, addrs string) string {
	if _, port, err := net.SplitHostPort(listen.First(addrs)); err == nil && port != map[string]string{"http": "80", "https": "443"}[scheme] {
		host = net.JoinHostPort(host, port)
	}
	return scheme + "://" + host + "/"
}

// welcome prints the links for the user.
func (pl *plan) welcome(w io.Writer, took time.Duration) {
	c, links := pl.upCmd, pl.info.Links
	fmt.Fprintf(w, "\netude is ready, in %d ms.\n\n", took.Milliseconds())
	row := func(what, url, note string) { fmt.Fprintf(w, "  %-26s %-38s %s\n", what, url, note) }
	row("Start here", links.Page+"/", "the walk, step by step")
	row("Explore traces", links.Page+"/explore", "search, open, read")
	for i, s := range links.Services {
		row(s.Name+" through the edge", s.Edge, "directly: "+links.Services[i].Direct)
	}
	row("Edge dashboard", links.Dashboard, "routers, services, latencies")
	if c.Metrics.Off {
		row("Backend metrics", links.Prometheus, "/metrics, for Prometheus")
	} else {
		row("Prometheus", links.Prometheus, "PromQL over the metrics of all parts")
	}
	row("Tempo's API", links.API, "/api/search, /api/traces/ID")
	row("Send spans, OTLP gRPC", links.OTLPGRPC, "OTEL_EXPORTER_OTLP_ENDPOINT")
	row("Send spans, OTLP HTTP", links.OTLPHTTP, "(both ports accept both)")
	row("Send spans, Jaeger", links.Jaeger, "thrift over HTTP; Zipkin: "+listen.BrowserURL(c.Scheme("zipkin"), c.ZipkinAddr))
	fmt.Fprintf(w, "\nNo browser, or *.localhost does not resolve? Either of these makes a trace:\n\n")
	fmt.Fprintf(w, "  curl -H 'Host: uservice3.localhost' %s/\n  curl %s\n\n", links.Edge, links.Services[2].EdgePath)
	for _, note := range pl.notes {
		fmt.Fprintln(w, note)
	}
	fmt.Fprintf(w, "Ctrl-C stops everything.\n\n")
}
