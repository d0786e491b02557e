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
	Config         string            `name:"config" group:"edge" aliases:"edge-config" env:"ETUDE_EDGE_CONFIG" placeholder:"FILE" help:"Rules, in Traefik's dynamic-configuration form; read again when it changes (default: the built-in demo rules)."`
	TraceExporter  string            `name:"trace-exporter" group:"edge" env:"ETUDE_TRACE_EXPORTER" enum:"jaeger,otlp,none" default:"jaeger" help:"How the edge sends its spans: ${enum}. With otlp, the OTEL_EXPORTER_OTLP_* variables apply."`
	JaegerEndpoint string            `name:"jaeger-endpoint" group:"edge" env:"ETUDE_JAEGER_ENDPOINT" placeholder:"URL" help:"Where spans go as Jaeger thrift (default: port 14268 of this machine)."`
	JaegerHeaders  map[string]string `name:"jaeger-header" group:"edge" env:"ETUDE_JAEGER_HEADER" placeholder:"NAME=VALUE" help:"Headers sent with spans as Jaeger thrift, such as X-Scope-OrgID=t1."`
}

// edgeFlags are the flags of the edge that `up` has as well.
type edgeFlags struct {
	TraceID128            bool          `name:"trace-id-128" env:"ETUDE_TRACE_ID_128" help:"Give new traces ids of 128 bits instead of 64."`
	AccessLog             bool          `name:"access-log" env:"ETUDE_ACCESS_LOG" help:"Log every request."`
	TrustedIPs            []string      `name:"trusted-ips" env:"ETUDE_TRUSTED_IPS" placeholder:"IP|RANGE" help:"Proxies in front of the edge, as addresses or ranges such as 10.0.0.0/8: the edge keeps the X-Forwarded-* headers that they send. It drops those of every other client."`
	ResponseHeaderTimeout time.Duration `name:"response-header-timeout" env:"ETUDE_RESPONSE_HEADER_TIMEOUT" default:"60s" help:"How long a service may take to begin its answer; later the client gets 504. 0 is no limit."`
	WholeURLs             bool          `name:"whole-urls" env:"ETUDE_WHOLE_URLS" help:"Show URLs in spans and in the access log as they came, with the values of parameters such as token, password and key."`
}

// trusted returns the ranges that --trusted-ips names.
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

// checkEdge finds mistakes before the edge is started.
func (f *edgeFlags) checkEdge() error {
	if f.ResponseHeaderTimeout < 0 {
		return fmt.Errorf("--response-header-timeout %s: want a positive duration, or 0 for no limit", f.ResponseHeaderTimeout)
	}
	_, err := f.trusted()
	return err
}

// headerTimeout is --response-header-timeout as edge.Options has it.
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

// edgeGrace is for requests in flight at the end. It is a little longer than the
// services take to cut theirs short, so that the edge passes on what they say.
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

// sendSpans adds the token to what the edge sends with its spans, and returns whom
// it trusts to take them.
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
