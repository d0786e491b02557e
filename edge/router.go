package edge

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// table is one loaded configuration, ready to serve. It is immutable. Statistics
// and the health of servers change; the table only points to them, and they
// survive a reload.
type table struct {
	routes   []*route // highest priority first
	services map[string]*service
	warnings []string
	queries  bool // a rule reads the query
	loaded   time.Time
}

// route is one router.
type route struct {
	name        string
	rule        rule
	priority    int
	entryPoints []string // as written; empty means all
	using       []string // the existing ones of entryPoints
	service     *service
	stats       *traffic
	written     string // the service as the file names it
	spanName    string
	entryNames  map[string]string // see entryName
}

// newTable builds the routes of a configuration. Services and routers of the previous configuration keep their
// statistics and the health of their servers.
func newTable(c *config, shared *proxyDeps) *table {
	t := &table{services: make(map[string]*service, len(c.services)), warnings: c.warnings, loaded: time.Now()}
	for name, s := range c.services {
		t.services[name] = newService(s, shared)
	}
	for _, r := range c.routers {
		s := t.services[r.service]
		rt := &route{
			name: r.name, rule: r.rule, priority: r.priority, entryPoints: r.entryPoints,
			service: s, written: r.written, stats: shared.stats.of(kindRouter, r.name),
			spanName: "forward " + r.written + "/" + r.name, entryNames: entryNames(&r.rule),
		}
		if len(r.entryPoints) == 0 || slices.Contains(r.entryPoints, entryPointName) {
			rt.using = []string{entryPointName}
		}
		t.routes, t.queries = append(t.routes, rt), t.queries || rt.rule.queries
	}
	return t
}

// find returns the first route that matches, or nil.
func (t *table) find(r *http.Request) *route {
	req := newRequest(r)
	for _, rt := range t.routes {
		if len(rt.using) > 0 && rt.rule.match(&req) {
			return rt
		}
	}
	return nil
}

// notFound answers a request that no route matches. It lists hosts and paths that would match: a name that does
// not resolve is the usual first mistake.
func (t *table) notFound(w http.ResponseWriter, r *http.Request) {
	var b strings.Builder
	fmt.Fprintf(&b, "404 Not Found: no router matches %s %s%s\n",
		printable(r.Method), shownHost(r.Host), printable(cut(r.URL.Path, maxShownURL)))
	authority, port := authorityOf(r)
	suffix := ""
	if port != "80" {
		suffix = ":" + port
	}
	var hosts, paths []string
	for _, rt := range t.routes {
		if len(rt.using) > 0 {
			hosts = append(hosts, rt.rule.hosts...)
			paths = append(paths, rt.rule.prefixes...)
		}
	}
	if len(hosts) > 0 {
		b.WriteString("\nKnown hosts:\n")
		for _, host := range hosts {
			fmt.Fprintf(&b, "  http://%s%s/\n", host, suffix)
		}
	}
	if len(paths) > 0 {
		b.WriteString("\nKnown paths:\n")
		for _, path := range paths {
			fmt.Fprintf(&b, "  http://%s%s\n", authority, path)
		}
	}
	if len(hosts) > 0 {
		fmt.Fprintf(&b, "\nWhere such names do not resolve:\n  curl -H 'Host: %s' http://%s/\n", hosts[0], authority)
	}
	plainText(w, http.StatusNotFound, b.String())
}

// authorityOf returns the local address of the connection, as host:port, and its port. It does not use the Host
// header, because that did not match.
func authorityOf(r *http.Request) (authority, port string) {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return "localhost", "80"
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String(), "80"
	}
	if port == "80" {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return host, port
	}
	return net.JoinHostPort(host, port), port
}

// plainText answers with a message for people.
func plainText(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // the client may be gone
}
