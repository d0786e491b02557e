package edge

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// matcher decides whether a request belongs to a router.
type matcher func(*request) bool

// request is a request with the values that several matchers use.
type request struct {
	*http.Request
	host  string // lower case, without port and final dot
	path  string // see routingPath
	query url.Values
}

func newRequest(r *http.Request) request {
	return request{Request: r, host: hostName(r.Host), path: routingPath(r.URL.EscapedPath())}
}

// values returns the parsed query.
func (r *request) values() url.Values {
	if r.query == nil {
		r.query = r.URL.Query()
	}
	return r.query
}

// hostName reduces a Host header to the name for comparisons.
func hostName(host string) string {
	if strings.Contains(host, ":") {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		} else {
			host = strings.Trim(host, "[]")
		}
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// matcherKind describes one matcher of the rule language.
type matcherKind struct {
	label    string // the usual spelling
	min, max int    // number of arguments
	build    func(args ...string) matcher
	check    func(i int, args []string) error // of the i-th argument
}

func (k matcherKind) arity() string {
	switch {
	case k.max == many:
		return "at least one argument"
	case k.min == k.max && k.min == 1:
		return "one argument"
	case k.min == k.max:
		return fmt.Sprintf("%d arguments", k.min)
	default:
		return fmt.Sprintf("%d or %d arguments", k.min, k.max)
	}
}

const many = 64

// matcherKinds has every matcher under each accepted spelling: the usual one, all lower and all upper case, and
// the names of Traefik 2.
var matcherKinds = spellings(map[string]matcherKind{
	"Host":          {"Host", 1, many, matchHost, checkHost},
	"HostHeader":    {"Host", 1, many, matchHost, checkHost},
	"HostRegexp":    {"HostRegexp", 1, many, matchHostRegexp, checkHostRegexp},
	"Path":          {"Path", 1, many, matchPath, checkPath},
	"PathPrefix":    {"PathPrefix", 1, many, matchPathPrefix, checkPathPrefix},
	"PathRegexp":    {"PathRegexp", 1, many, matchPathRegexp, checkRegexp},
	"Method":        {"Method", 1, many, matchMethod, checkMethod},
	"Header":        {"Header", 2, 2, matchHeader, checkHeader},
	"Headers":       {"Header", 2, 2, matchHeader, checkHeader},
	"HeaderRegexp":  {"HeaderRegexp", 2, 2, matchHeaderRegexp, checkHeaderRegexp},
	"HeadersRegexp": {"HeaderRegexp", 2, 2, matchHeaderRegexp, checkHeaderRegexp},
	"Query":         {"Query", 1, 2, matchQuery, checkQuery},
	"QueryRegexp":   {"QueryRegexp", 2, 2, matchQueryRegexp, checkQueryRegexp},
	"ClientIP":      {"ClientIP", 1, many, matchClientIP, checkRange},
})

func spellings(kinds map[string]matcherKind) map[string]matcherKind {
	all := make(map[string]matcherKind, 3*len(kinds))
	for name, kind := range kinds {
		all[name] = kind
		all[strings.ToLower(name)] = kind
		all[strings.ToUpper(name)] = kind
	}
	return all
}

// The builders below are called only with checked arguments, so MustCompile and MustParse cannot panic.

func matchHost(hosts ...string) matcher {
	names := make([]string, len(hosts))
	for i, host := range hosts {
		names[i] = hostName(host)
	}
	return func(r *request) bool { return slices.Contains(names, r.host) }
}

func matchHostRegexp(patterns ...string) matcher {
	// Host names are compared in lower case, so the pattern ignores case.
	compiled := make([]*regexp.Regexp, len(patterns))
	for i, p := range patterns {
		if isTemplate(p) {
			p = "^" + mustTemplate(p, inHost) + "$"
		}
		compiled[i] = regexp.MustCompile("(?i)" + p)
	}
	return func(r *request) bool { return anyMatches(compiled, r.host) }
}

func matchPath(paths ...string) matcher {
	plain, patterns := splitTemplates(paths, "$")
	return func(r *request) bool { return slices.Contains(plain, r.path) || anyMatches(patterns, r.path) }
}

func matchPathPrefix(prefixes ...string) matcher {
	plain, patterns := splitTemplates(prefixes, "")
	return func(r *request) bool {
		return slices.ContainsFunc(plain, func(p string) bool { return strings.HasPrefix(r.path, p) }) || anyMatches(patterns, r.path)
	}
}

// splitTemplates separates plain paths from templates of Traefik 2. Both are compared with the path in the form
// of routingPath.
func splitTemplates(paths []string, end string) (plain []string, patterns []*regexp.Regexp) {
	for _, path := range paths {
		if isTemplate(path) {
			patterns = append(patterns, regexp.MustCompile("^"+mustTemplate(path, inPath)+end))
		} else {
			plain = append(plain, routingPath(path))
		}
	}
	return plain, patterns
}

func matchPathRegexp(patterns ...string) matcher {
	compiled := make([]*regexp.Regexp, len(patterns))
	for i, p := range patterns {
		compiled[i] = regexp.MustCompile(p)
	}
	return func(r *request) bool { return anyMatches(compiled, r.path) }
}

func anyMatches(patterns []*regexp.Regexp, text string) bool {
	return slices.ContainsFunc(patterns, func(re *regexp.Regexp) bool { return re.MatchString(text) })
}

func matchMethod(methods ...string) matcher {
	return func(r *request) bool {
		return slices.ContainsFunc(methods, func(m string) bool { return strings.EqualFold(m, r.Method) })
	}
}

func matchHeader(args ...string) matcher {
	key, value := http.CanonicalHeaderKey(args[0]), args[1]
	return func(r *request) bool { return slices.Contains(r.Header[key], value) }
}

func matchHeaderRegexp(args ...string) matcher {
	key, pattern := http.CanonicalHeaderKey(args[0]), regexp.MustCompile(args[1])
	return func(r *request) bool { return slices.ContainsFunc(r.Header[key], pattern.MatchString) }
}

// matchQuery with one argument requires the key without a value, as Traefik 3 does. With key=value arguments,
// the form of Traefik 2, it requires all of them.
func matchQuery(args ...string) matcher {
	if isPair(args[0]) {
		return matchPairs(args)
	}
	value := ""
	if len(args) == 2 {
		value = args[1]
	}
	return func(r *request) bool { return slices.Contains(r.values()[args[0]], value) }
}

func matchPairs(pairs []string) matcher {
	keys, patterns := make([]string, len(pairs)), make([]*regexp.Regexp, len(pairs))
	for i, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		keys[i] = key
		if value != "" { // otherwise any value matches
			patterns[i] = regexp.MustCompile("^" + mustTemplate(value, inQuery) + "$")
		}
	}
	return func(r *request) bool {
		for i, key := range keys {
			values, found := r.values()[key]
			if !found || patterns[i] != nil && !slices.ContainsFunc(values, patterns[i].MatchString) {
				return false
			}
		}
		return true
	}
}

func matchQueryRegexp(args ...string) matcher {
	pattern := regexp.MustCompile(args[1])
	return func(r *request) bool { return slices.ContainsFunc(r.values()[args[0]], pattern.MatchString) }
}

func matchClientIP(ranges ...string) matcher {
	prefixes := make([]netip.Prefix, len(ranges))
	for i, text := range ranges {
		prefixes[i], _ = ParseRange(text)
	}
	return func(r *request) bool { return within(prefixes, r.RemoteAddr) }
}

// ParseRange parses an IP address, or a range such as 10.0.0.0/8. IPv4 addresses written as IPv6 become IPv4,
// like those of clients.
func ParseRange(text string) (netip.Prefix, error) {
	problem := fmt.Errorf("%q is neither an IP address nor a range such as 10.0.0.0/8", text)
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, problem
		}
		addr = addr.Unmap().WithZone("")
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, problem
	}
	if prefix.Addr().Is4In6() {
		if prefix.Bits() < 96 {
			return netip.Prefix{}, problem
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}

// within reports whether the address, with or without port, is in a range.
func within(prefixes []netip.Prefix, address string) bool {
	if len(prefixes) == 0 {
		return false
	}
	addr, err := netip.ParseAddr(clientIP(address))
	if err != nil {
		return false
	}
	addr = addr.Unmap().WithZone("")
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// clientIP removes the port from a remote address.
func clientIP(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}
