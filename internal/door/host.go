package door

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// machineNames are names that container runtimes give this machine.
var machineNames = []string{"localhost", "host.docker.internal", "gateway.docker.internal", "host.containers.internal", "host.minikube.internal"}

// Hosts are the host names that a listener accepts.
type Hosts struct {
	names    []string // lower case, without a final dot
	suffixes []string // ".example.org" for *.example.org
	any      bool
}

// NewHosts allows this machine's own names, loopback addresses, and the given ones: a name, *.NAME for all
// names below it, an address, or * for everything. Ports are ignored.
func NewHosts(allowed []string) (*Hosts, error) {
	h := &Hosts{names: machineNames, suffixes: []string{".localhost"}}
	for _, text := range allowed {
		if text == "*" {
			h.any = true
			continue
		}
		below, wild := strings.CutPrefix(text, "*.")
		name, ok := hostName(below)
		if !ok || strings.ContainsAny(name, "*/@ ") {
			return nil, fmt.Errorf("%q is not a host: want NAME, *.NAME, an address, or *", text)
		}
		if wild {
			h.suffixes = append(slices.Clip(h.suffixes), "."+name)
		} else {
			h.names = append(slices.Clip(h.names), name)
		}
	}
	return h, nil
}

// Allow reports whether a Host header, or :authority, names this server.
func (h *Hosts) Allow(host string) bool {
	if h == nil || h.any {
		return true
	}
	name, ok := hostName(host)
	if !ok {
		return false
	}
	if addr, err := netip.ParseAddr(name); err == nil && addr.Unmap().IsLoopback() {
		return true
	}
	below := func(suffix string) bool { return len(name) > len(suffix) && strings.HasSuffix(name, suffix) }
	return slices.Contains(h.names, name) || slices.ContainsFunc(h.suffixes, below)
}

// hostName returns a Host header without its port, in the form for comparison: lower case, no final dot,
// addresses without brackets.
func hostName(host string) (string, bool) {
	name := host
	if inner, bracket := strings.CutPrefix(host, "["); bracket {
		address, rest, closed := strings.Cut(inner, "]")
		port, colon := strings.CutPrefix(rest, ":")
		_, err := netip.ParseAddr(address)
		return canonical(address), err == nil && closed && (rest == "" || colon) && isPort(port)
	}
	if strings.Count(host, ":") == 1 {
		var port string
		name, port, _ = strings.Cut(host, ":")
		if !isPort(port) {
			return "", false
		}
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if _, err := netip.ParseAddr(name); strings.Contains(name, ":") && err != nil {
		return "", false
	}
	return canonical(name), name != ""
}

// canonical returns the standard form of an address.
func canonical(name string) string {
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.Unmap().WithZone("").String()
	}
	return name
}

// isPort accepts an empty port, as RFC 3986 does.
func isPort(s string) bool {
	if s == "" {
		return true
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && s[0] != '+' && n <= 65535
}

// IsLoopback reports whether only this machine can reach the addresses that a listener has bound.
func IsLoopback(addrs ...net.Addr) bool {
	for _, addr := range addrs {
		tcp, ok := addr.(*net.TCPAddr)
		if !ok || !tcp.IP.IsLoopback() {
			return false
		}
	}
	return len(addrs) > 0
}
