// Package listen determines where etude listens. It has the flags of addresses and their default ports, formats
// an address for a person or a program of this machine, and finds the process that uses an address.
package listen

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Default ports. All except the edge's are those of the real products.
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
	PortOffset int `name:"port-offset" env:"ETUDE_PORT_OFFSET" default:"0" help:"Number to add to every default port, so that several etudes can run on one machine (20000: edge 20080, page 23000, API 23200, OTLP 24317 ...)."`
}

// Backend has the backend's listeners. Each is an address, or several separated by commas.
type Backend struct {
	APIAddr        string `name:"api-addr" env:"ETUDE_API_ADDR" placeholder:"localhost:3200" help:"Address of Tempo's query API."`
	OTLPGRPCAddr   string `name:"otlp-grpc-addr" env:"ETUDE_OTLP_GRPC_ADDR" placeholder:"localhost:4317" help:"Address for OTLP over gRPC (also accepts OTLP over HTTP)."`
	OTLPHTTPAddr   string `name:"otlp-http-addr" env:"ETUDE_OTLP_HTTP_ADDR" placeholder:"localhost:4318" help:"Address for OTLP over HTTP (also accepts OTLP over gRPC)."`
	JaegerAddr     string `name:"jaeger-addr" env:"ETUDE_JAEGER_ADDR" placeholder:"localhost:14268" help:"Address for Jaeger thrift over HTTP."`
	JaegerGRPCAddr string `name:"jaeger-grpc-addr" env:"ETUDE_JAEGER_GRPC_ADDR" placeholder:"localhost:14250" help:"Address for Jaeger over gRPC."`
	ZipkinAddr     string `name:"zipkin-addr" env:"ETUDE_ZIPKIN_ADDR" placeholder:"localhost:9411" help:"Address for Zipkin: v2 and v1 as JSON, v2 as protobuf."`
	PageAddr       string `name:"page-addr" env:"ETUDE_PAGE_ADDR" placeholder:"localhost:3000" help:"Address of the page."`
	PrometheusAddr string `name:"prometheus-addr" env:"ETUDE_PROMETHEUS_ADDR" placeholder:"localhost:9090" help:"Address of the embedded Prometheus."`
}

// Edge has the edge's listeners.
type Edge struct {
	EdgeAddr      string `name:"edge-addr" env:"ETUDE_EDGE_ADDR" placeholder:"localhost:80" help:"Where the edge's entry point \"web\" listens."`
	DashboardAddr string `name:"dashboard-addr" env:"ETUDE_DASHBOARD_ADDR" placeholder:"localhost:8080" help:"Address of the edge's dashboard."`
}

// Each calls f for every listener, with its flag and its address.
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

// Fill sets the addresses that no flag set to their defaults.
func (a *Backend) Fill(offset int) {
	a.Each(func(_ string, port int, addr *string) { fillAddr(addr, port+offset) })
}

// Fill sets the addresses that no flag set to their defaults.
func (a *Edge) Fill(offset int) {
	fillAddr(&a.EdgeAddr, PortEdge+offset)
	fillAddr(&a.DashboardAddr, PortDashboard+offset)
}

func fillAddr(addr *string, port int) {
	if *addr == "" {
		*addr = Localhost(port)
	}
}

// Localhost is the default address of listeners: 127.0.0.1 and, where the system has IPv6, [::1]. It includes
// both because some clients try only the first address of the name localhost.
func Localhost(port int) string { return net.JoinHostPort("localhost", strconv.Itoa(port)) }

// Loopback is a port of 127.0.0.1 only.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Check refuses an offset that moves a port out of range.
func (o Offset) Check() error {
	if o.PortOffset < 0 || o.PortOffset+PortJaeger > 65535 {
		return fmt.Errorf("--port-offset %d: want 0 to %d, so that every port stays below 65536", o.PortOffset, 65535-PortJaeger)
	}
	return nil
}

// BrowserURL returns an address as a person types it. All addresses and the loopback address become localhost,
// and the scheme's default port is left out. Of several addresses it uses the first.
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

// DialAddr returns an address as a program of this machine dials it; of several, the first.
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

// First returns the first of several addresses.
func First(addrs string) string {
	first, _, _ := strings.Cut(addrs, ",")
	return first
}
