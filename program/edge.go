package program

import (
	"fmt"
	"time"

	"etude/conf"
	"etude/edge"
)

type edgeCmd struct {
	offsetFlag
	edgeAddrs
	edgeFlags
	Config         string            `name:"config" aliases:"edge-config" env:"ETUDE_EDGE_CONFIG" placeholder:"FILE" help:"Rules, in Traefik's dynamic-configuration form; read again when it changes (default: the built-in demo rules)."`
	TraceExporter  string            `name:"trace-exporter" env:"ETUDE_TRACE_EXPORTER" enum:"jaeger,otlp,none" default:"jaeger" help:"How the edge sends its spans: ${enum}. With otlp, the OTEL_EXPORTER_OTLP_* variables apply."`
	JaegerEndpoint string            `name:"jaeger-endpoint" env:"ETUDE_JAEGER_ENDPOINT" placeholder:"URL" help:"Where spans go as Jaeger thrift (default: port 14268 of this machine)."`
	JaegerHeaders  map[string]string `name:"jaeger-header" env:"ETUDE_JAEGER_HEADER" placeholder:"NAME=VALUE" help:"Headers sent with spans as Jaeger thrift, such as X-Scope-OrgID=t1."`
}

// edgeFlags are the flags of the edge that `up` has as well.
type edgeFlags struct {
	TraceID128 bool `name:"trace-id-128" env:"ETUDE_TRACE_ID_128" help:"Give new traces ids of 128 bits instead of 64."`
	AccessLog  bool `name:"access-log" env:"ETUDE_ACCESS_LOG" help:"Log every request."`
}

// edgeGrace is for requests in flight at the end. It is a little longer than the
// services take to cut theirs short, so that the edge passes on what they say.
const edgeGrace = 800 * time.Millisecond

func (c *edgeCmd) Run(p *proc) error {
	if err := c.check(); err != nil {
		return err
	}
	c.edgeAddrs.fill(c.PortOffset)
	if c.JaegerEndpoint == "" {
		c.JaegerEndpoint = "http://" + loopback(portJaeger+c.PortOffset) + "/api/traces?format=jaeger.thrift"
	}
	err := edge.Run(p.ctx, edge.Options{
		EdgeAddr: c.EdgeAddr, DashboardAddr: c.DashboardAddr,
		ConfigFile: c.Config, ConfigText: conf.TraefikDynamic,
		TraceExporter: c.TraceExporter, JaegerEndpoint: c.JaegerEndpoint, JaegerHeaders: c.JaegerHeaders, TraceID128: c.TraceID128,
		StopTimeout: edgeGrace, AccessLog: c.AccessLog, Version: Version, Logger: p.log,
		Ready: func(edge, dashboard string) {
			fmt.Fprintf(p.stdout, "edge is ready: entry point web %s, dashboard %s/dashboard/\n", edge, browserURL(dashboard))
		},
	})
	if err != nil {
		return fmt.Errorf("run edge: %w", err)
	}
	return nil
}
