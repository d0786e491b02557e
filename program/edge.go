package program

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"etude/conf"
	"etude/edge"
	"etude/internal/door"
	"etude/page"
	"etude/program/access"
	"etude/program/listen"
	"etude/program/proc"
)

type edgeCmd struct {
	listen.Offset  `group:"listen"`
	listen.Edge    `group:"listen"`
	access.Flags   `group:"door"`
	access.Client  `group:"client"`
	edgeFlags      `group:"edge"`
	Config         string            `name:"config" group:"edge" aliases:"edge-config" env:"ETUDE_EDGE_CONFIG" placeholder:"FILE" help:"File of rules in Traefik's dynamic-configuration format; reloaded when it changes (default: the built-in demo rules)."`
	TraceExporter  string            `name:"trace-exporter" group:"edge" env:"ETUDE_TRACE_EXPORTER" enum:"jaeger,otlp,none" default:"jaeger" help:"Protocol for the edge's spans: ${enum}. With otlp, the OTEL_EXPORTER_OTLP_* variables apply."`
	JaegerEndpoint string            `name:"jaeger-endpoint" group:"edge" env:"ETUDE_JAEGER_ENDPOINT" placeholder:"URL" help:"URL that receives the edge's spans as Jaeger thrift (default: port 14268 of this machine)."`
	JaegerHeaders  map[string]string `name:"jaeger-header" group:"edge" env:"ETUDE_JAEGER_HEADER" placeholder:"NAME=VALUE" help:"Headers to send with spans as Jaeger thrift, such as X-Scope-OrgID=t1."`
}

// edgeFlags are the flags that `edge` and `up` share.
type edgeFlags struct {
	TraceID128            bool          `name:"trace-id-128" env:"ETUDE_TRACE_ID_128" help:"Use 128-bit ids for new traces instead of 64-bit ids."`
	AccessLog             bool          `name:"access-log" env:"ETUDE_ACCESS_LOG" help:"Log every request."`
	TrustedIPs            []string      `name:"trusted-ips" env:"ETUDE_TRUSTED_IPS" placeholder:"IP|RANGE" help:"Addresses or ranges of proxies in front of the edge, such as 10.0.0.0/8. The edge keeps the X-Forwarded-* headers of these proxies and drops those of every other client."`
	ResponseHeaderTimeout time.Duration `name:"response-header-timeout" env:"ETUDE_RESPONSE_HEADER_TIMEOUT" default:"60s" help:"Maximum time until a service begins its answer; after it, the client gets 504. 0 means no limit."`
	WholeURLs             bool          `name:"whole-urls" env:"ETUDE_WHOLE_URLS" help:"Show complete URLs in spans and in the access log, including the values of parameters such as token, password and key."`
}

// trusted parses --trusted-ips.
func (f *edgeFlags) trusted() (ranges []netip.Prefix, err error) {
	for _, text := range f.TrustedIPs {
		r, err := edge.ParseRange(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("--trusted-ips: %w", err)
		}
		ranges = append(ranges, r)
	}
	return ranges, nil
}

// checkEdge checks the flags before the edge starts.
func (f *edgeFlags) checkEdge() error {
	if f.ResponseHeaderTimeout < 0 {
		return fmt.Errorf("--response-header-timeout %s: want a positive duration, or 0 for no limit", f.ResponseHeaderTimeout)
	}
	_, err := f.trusted()
	return err
}

// headerTimeout converts --response-header-timeout to the form of edge.Options.
func (f *edgeFlags) headerTimeout() time.Duration {
	if f.ResponseHeaderTimeout == 0 {
		return -1
	}
	return f.ResponseHeaderTimeout
}

// demoHosts are the host names of the services in the built-in rules.
func demoHosts() (hosts []string) {
	for _, s := range services {
		hosts = append(hosts, s.name+".localhost")
	}
	return hosts
}

// edgeGrace is the time for running requests at shutdown. It is a little longer than the services' own, so that
// the edge can pass on their last answers.
const edgeGrace = 800 * time.Millisecond

func (c *edgeCmd) Run(p *proc.Proc) error {
	if err := errors.Join(c.Check(), c.checkEdge(), c.CheckDoors()); err != nil {
		return err
	}
	c.Edge.Fill(c.PortOffset)
	if c.JaegerEndpoint == "" {
		c.JaegerEndpoint = "http://" + listen.Loopback(listen.PortJaeger+c.PortOffset) + "/api/traces?format=jaeger.thrift"
	}
	trusted, _ := c.trusted() // checked above
	doors, err := c.Flags.Open(p.Log)
	if err != nil {
		return err
	}
	trust, err := c.sendSpans()
	if err != nil {
		return err
	}
	err = edge.Run(p.Ctx, edge.Options{
		EdgeAddr: c.EdgeAddr, DashboardAddr: c.DashboardAddr,
		Listen:  func(addr string) (net.Listener, error) { return door.Listen(addr, nil) },
		EdgeTLS: doors.ServerTLS(access.EntryListener), DashboardTLS: doors.ServerTLS("dashboard"),
		Guard: func(l net.Listener, dashboard http.Handler) http.Handler {
			return doors.Guard("dashboard", l.(*door.Listener), dashboard, "/ping")
		},
		Dashboard:  page.EdgeDashboard(edge.DashboardPath),
		JaegerTLS:  trust,
		ConfigFile: c.Config, ConfigText: conf.TraefikDynamic,
		TraceExporter: c.TraceExporter, JaegerEndpoint: c.JaegerEndpoint, JaegerHeaders: c.JaegerHeaders, TraceID128: c.TraceID128,
		TrustedIPs: trusted, ResponseHeaderTimeout: c.headerTimeout(), WholeURLs: c.WholeURLs, FaviconHosts: demoHosts(),
		StopTimeout: edgeGrace, AccessLog: c.AccessLog, Version: p.Version, Logger: p.Log,
		Ready: func(edge, dashboard string) {
			doors.Warn(p.Log)
			fmt.Fprintf(p.Stdout, "edge is ready: entry point web %s, dashboard %s/dashboard/\n", edge, listen.BrowserURL(c.Scheme("dashboard"), dashboard))
		},
	})
	if err != nil {
		return fmt.Errorf("run edge: %w", err)
	}
	return nil
}

// sendSpans adds the token to the headers that the edge sends with spans, and returns the TLS settings for the
// connection.
func (c *edgeCmd) sendSpans() (*tls.Config, error) {
	authorization, err := c.Authorization(door.Ingest)
	if err != nil {
		return nil, err
	}
	if authorization != "" {
		headers := map[string]string{"Authorization": authorization}
		maps.Copy(headers, c.JaegerHeaders)
		c.JaegerHeaders = headers
	}
	return c.ClientTLS()
}
