// Package listen says where etude listens: the flags of addresses and their default
// ports, what a person or a program of this machine calls an address, whether it is
// free, and if not, which process has it.
package listen

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Default ports. All but the edge's are those of the real parts.
const (
	PortEdge         = 80
	PortEdgeFallback = 8000
	PortDashboard    = 8080
	PortService1     = 8081 // the other services follow
	PortPage         = 3000
	PortAPI          = 3200
	PortOTLPGRPC     = 4317
	PortOTLPHTTP     = 4318
	PortJaeger       = 14268
	PortJaegerGRPC   = 14250
	PortZipkin       = 9411
	PortPrometheus   = 9090
)

// Offset moves every default port at once.
type Offset struct {
	PortOffset int `name:"port-offset" env:"ETUDE_PORT_OFFSET" default:"0" help:"Add this to every default port, so that two can run side by side (20000: edge 20080, page 23000, API 23200, OTLP 24317 ...)."`
}

// Backend are the listeners of the backend, each an address or several,
// separated by commas.
type Backend struct {
	APIAddr        string `name:"api-addr" env:"ETUDE_API_ADDR" placeholder:"localhost:3200" help:"Where Tempo's query API listens."`
	OTLPGRPCAddr   string `name:"otlp-grpc-addr" env:"ETUDE_OTLP_GRPC_ADDR" placeholder:"localhost:4317" help:"Where OTLP over gRPC listens (OTLP over HTTP works here too)."`
	OTLPHTTPAddr   string `name:"otlp-http-addr" env:"ETUDE_OTLP_HTTP_ADDR" placeholder:"localhost:4318" help:"Where OTLP over HTTP listens (OTLP over gRPC works here too)."`
	JaegerAddr     string `name:"jaeger-addr" env:"ETUDE_JAEGER_ADDR" placeholder:"localhost:14268" help:"Where Jaeger thrift over HTTP listens."`
	JaegerGRPCAddr string `name:"jaeger-grpc-addr" env:"ETUDE_JAEGER_GRPC_ADDR" placeholder:"localhost:14250" help:"Where Jaeger over gRPC listens."`
	ZipkinAddr     string `name:"zipkin-addr" env:"ETUDE_ZIPKIN_ADDR" placeholder:"localhost:9411" help:"Where Zipkin listens: v2 and v1 as JSON, v2 as protobuf."`
	PageAddr       string `name:"page-addr" env:"ETUDE_PAGE_ADDR" placeholder:"localhost:3000" help:"Where the page listens."`
	PrometheusAddr string `name:"prometheus-addr" env:"ETUDE_PROMETHEUS_ADDR" placeholder:"localhost:9090" help:"Where the embedded Prometheus listens."`
}

// Edge are the listeners of the edge.
type Edge struct {
	EdgeAddr      string `name:"edge-addr" env:"ETUDE_EDGE_ADDR" placeholder:"localhost:80" help:"Where the edge's entry point \"web\" listens."`
	DashboardAddr string `name:"dashboard-addr" env:"ETUDE_DASHBOARD_ADDR" placeholder:"localhost:8080" help:"Where the edge's dashboard listens."`
}

// Each calls f with every listener: the flag that sets it, and its address.
func (a *Backend) Each(f func(flag string, port int, addr *string)) {
	f("api-addr", PortAPI, &a.APIAddr)
	f("otlp-grpc-addr", PortOTLPGRPC, &a.OTLPGRPCAddr)
	f("otlp-http-addr", PortOTLPHTTP, &a.OTLPHTTPAddr)
	f("jaeger-addr", PortJaeger, &a.JaegerAddr)
	f("jaeger-grpc-addr", PortJaegerGRPC, &a.JaegerGRPCAddr)
	f("zipkin-addr", PortZipkin, &a.ZipkinAddr)
	f("page-addr", PortPage, &a.PageAddr)
	f("prometheus-addr", PortPrometheus, &a.PrometheusAddr)
}

// Fill gives the listeners that were not set their default.
func (a *Backend) Fill(offset int) {
	a.Each(func(_ string, port int, addr *string) { fillAddr(addr, port+offset) })
}

// Fill gives the listeners that were not set their default.
func (a *Edge) Fill(offset int) {
	fillAddr(&a.EdgeAddr, PortEdge+offset)
	fillAddr(&a.DashboardAddr, PortDashboard+offset)
}

func fillAddr(addr *string, port int) {
	if *addr == "" {
		*addr = Localhost(port)
	}
}

// Localhost is where listeners listen by default: 127.0.0.1 and, where there is
// IPv6, [::1]. Some clients try only the one that the name localhost gives first.
func Localhost(port int) string { return net.JoinHostPort("localhost", strconv.Itoa(port)) }

// Loopback is a port of 127.0.0.1 alone.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Check refuses an offset that moves a port out of range.
func (o Offset) Check() error {
	if o.PortOffset < 0 || o.PortOffset+PortJaeger > 65535 {
		return fmt.Errorf("--port-offset %d: want 0 to %d, so that every port stays below 65536", o.PortOffset, 65535-PortJaeger)
	}
	return nil
}

// BrowserURL is the address as a person types it: listening on all addresses or
// on the loopback one, it is localhost, and the port of the scheme is left out. Of
// several addresses it is the first.
func BrowserURL(scheme, addrs string) string {
	host, port, err := net.SplitHostPort(First(addrs))
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		host = "localhost"
	}
	if scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		return scheme + "://" + host
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// DialAddr is the address as a program of this machine dials it; of several, the
// first.
func DialAddr(addrs string) string {
	host, port, err := net.SplitHostPort(First(addrs))
	if err != nil {
		return addrs
	}
	if ip := net.ParseIP(host); host == "" || host == "localhost" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// First is the first of several addresses.
func First(addrs string) string {
	first, _, _ := strings.Cut(addrs, ",")
	return first
}
