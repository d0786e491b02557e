package edge

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// decoder converts the YAML tree to a config. It walks the tree itself instead of using struct tags, for two
// reasons: every message names a line, and unknown keys (a warning) differ from unsupported ones (an error).
type decoder struct {
	file     string
	config   *config
	problems []*problem
}

func (d *decoder) fail(n *yaml.Node, format string, args ...any) {
	d.problems = append(d.problems, &problem{d.file, n.Line, fmt.Sprintf(format, args...)})
}

func (d *decoder) warn(n *yaml.Node, format string, args ...any) {
	d.config.warnings = append(d.config.warnings, fmt.Sprintf("%s:%d: %s", d.file, n.Line, fmt.Sprintf(format, args...)))
}

// each calls f for the entries of a mapping, in the order of the file. Null is an empty mapping. Entries of
// merge keys (<<) follow; the mapping's own keys take precedence.
func (d *decoder) each(n *yaml.Node, what string, f func(key, value *yaml.Node)) {
	d.eachOf(n, what, map[string]bool{}, 0, f)
}

func (d *decoder) eachOf(n *yaml.Node, what string, seen map[string]bool, depth int, f func(key, value *yaml.Node)) {
	n = follow(n)
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, "%s must be a mapping", what)
		return
	}
	if depth > 8 {
		d.fail(n, "%s merges mappings more than 8 deep", what)
		return
	}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Tag == "!!merge":
			merges = append(merges, value)
		case seen[key.Value] && depth == 0:
			d.fail(key, "%s has the key %s twice", what, key.Value)
		case !seen[key.Value]:
			seen[key.Value] = true
			f(key, follow(value))
		}
	}
	for _, m := range merges {
		d.eachOf(m, what, seen, depth+1, f)
	}
}

// follow replaces an alias by the node it refers to.
func follow(n *yaml.Node) *yaml.Node {
	for range 8 {
		if n.Kind != yaml.AliasNode {
			return n
		}
		n = n.Alias
	}
	return n
}

func (d *decoder) root(n *yaml.Node) {
	d.each(n, "the configuration", func(key, value *yaml.Node) {
		switch key.Value {
		case "http":
			d.http(value)
		case "tcp", "udp", "tls":
			d.warn(key, "%s is ignored: only http is served here", key.Value)
		default:
			d.warn(key, "unknown key %s", key.Value)
		}
	})
}

func (d *decoder) http(n *yaml.Node) {
	d.each(n, "http", func(key, value *yaml.Node) {
		switch key.Value {
		case "routers":
			d.each(value, "http.routers", d.router)
		case "services":
			d.each(value, "http.services", d.service)
		case "middlewares", "serversTransports", "models":
			d.warn(key, "http.%s is ignored: it is not supported here", key.Value)
		default:
			d.warn(key, "unknown key http.%s", key.Value)
		}
	})
}

func (d *decoder) router(name, n *yaml.Node) {
	r := &routerConfig{name: qualified(name.Value), line: name.Line}
	what := "router " + name.Value
	hasRule := false
	d.each(n, what, func(key, value *yaml.Node) {
		switch key.Value {
		case "rule":
			hasRule = true
			d.rule(what, value, r)
		case "service":
			r.written = d.text(what+": service", value)
			r.service = qualified(r.written)
		case "entryPoints":
			r.entryPoints = d.texts(what+": entryPoints", value)
			d.checkEntryPoints(what, key, r.entryPoints)
		case "priority":
			r.priority = d.integer(what+": priority", value)
		case "middlewares":
			if len(follow(value).Content) > 0 {
				d.fail(key, "%s: middlewares are not supported here: remove them, or use the real Traefik", what)
			}
		case "tls":
			d.fail(key, "%s: tls is not supported here: remove it, or use the real Traefik", what)
		case "ruleSyntax", "observability":
			d.warn(key, "%s: %s has no effect here", what, key.Value)
		default:
			d.warn(key, "%s: unknown key %s", what, key.Value)
		}
	})
	if !hasRule {
		d.fail(name, "%s has no rule", what)
	}
	if r.service == "" {
		d.fail(name, "%s has no service", what)
	}
	if r.priority == 0 {
		r.priority = len(r.rule.text)
	}
	d.config.routers = append(d.config.routers, r)
}

func (d *decoder) rule(what string, n *yaml.Node, r *routerConfig) {
	text := d.text(what+": rule", n)
	parsed, err := parseRule(text)
	if err != nil {
		d.fail(n, "%s: rule %q: %v", what, text, err)
		return
	}
	r.rule = parsed
	for _, warning := range parsed.warnings {
		d.warn(n, "%s: %s", what, warning)
	}
}

// checkEntryPoints warns about entry points that do not exist. As in Traefik, a router without an existing
// entry point is loaded and displayed, but gets no requests.
func (d *decoder) checkEntryPoints(what string, at *yaml.Node, names []string) {
	for _, name := range names {
		if name != entryPointName {
			d.warn(at, "%s: entry point %s does not exist: only %s does", what, name, entryPointName)
		}
	}
}

func (d *decoder) service(name, n *yaml.Node) {
	what := "service " + name.Value
	found := false
	d.each(n, what, func(key, value *yaml.Node) {
		switch key.Value {
		case "loadBalancer":
			found = true
			s := d.loadBalancer(what, value)
			s.name = qualified(name.Value)
			d.config.services[s.name] = s
		case "weighted", "mirroring", "failover", "highestRandomWeight":
			found = true
			d.fail(key, "%s: %s services are not supported here: use loadBalancer", what, key.Value)
		default:
			d.warn(key, "%s: unknown key %s", what, key.Value)
		}
	})
	if !found {
		d.fail(name, "%s has no loadBalancer", what)
	}
}

func (d *decoder) loadBalancer(what string, n *yaml.Node) *serviceConfig {
	s := &serviceConfig{passHostHeader: true, flushInterval: defaultFlushInterval}
	d.each(n, what+": loadBalancer", func(key, value *yaml.Node) {
		switch key.Value {
		case "servers":
			for _, item := range d.sequence(what+": servers", value) {
				d.server(what, item, s)
			}
		case "passHostHeader":
			s.passHostHeader = d.boolean(what+": passHostHeader", value)
		case "responseForwarding":
			d.responseForwarding(what, value, s)
		case "strategy":
			if text := d.text(what+": strategy", value); text != "wrr" {
				d.warn(key, "%s: strategy %s has no effect here: servers take turns (wrr)", what, text)
			}
		case "healthCheck":
			d.fail(key, "%s: healthCheck is not supported here: servers that refuse connections are taken out by themselves", what)
		case "sticky":
			d.fail(key, "%s: sticky sessions are not supported here", what)
		case "serversTransport":
			d.fail(key, "%s: serversTransport is not supported here", what)
		case "passiveHealthCheck":
			d.warn(key, "%s: passiveHealthCheck has no effect here: its settings are fixed", what)
		default:
			d.warn(key, "%s: unknown key loadBalancer.%s", what, key.Value)
		}
	})
	return s
}

func (d *decoder) responseForwarding(what string, n *yaml.Node, s *serviceConfig) {
	d.each(n, what+": responseForwarding", func(key, value *yaml.Node) {
		if key.Value != "flushInterval" {
			d.warn(key, "%s: unknown key responseForwarding.%s", what, key.Value)
			return
		}
		interval, err := parseDuration(d.text(what+": flushInterval", value))
		if err != nil {
			d.fail(value, "%s: flushInterval %q is not a duration such as 100ms", what, value.Value)
			return
		}
		s.flushInterval = interval
	})
}

func (d *decoder) server(what string, n *yaml.Node, s *serviceConfig) {
	server := serverConfig{weight: 1}
	before := len(d.problems)
	d.each(n, what+": server", func(key, value *yaml.Node) {
		switch key.Value {
		case "url":
			server.text = d.text(what+": url", value)
			u, err := parseServerURL(server.text)
			if err != nil {
				d.fail(value, "%s: %v", what, err)
				return
			}
			server.url, server.text = u, redactAddress(server.text)
		case "weight":
			server.weight = d.integer(what+": weight", value)
			if server.weight < 0 || server.weight > maxWeight {
				d.fail(value, "%s: weight %d is not between 0 and %d", what, server.weight, maxWeight)
			}
		case "preservePath":
			server.preservePath = d.boolean(what+": preservePath", value)
		default:
			d.warn(key, "%s: unknown key servers.%s", what, key.Value)
		}
	})
	if server.url == nil {
		if len(d.problems) == before {
			d.fail(n, "%s: a server has no url", what)
		}
		return
	}
	s.servers = append(s.servers, server)
}

func parseServerURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read server url %q: %w", redactAddress(text), innerError(err))
	}
	switch u.Scheme {
	case "http", "https", "h2c":
	case "":
		return nil, fmt.Errorf("server url %q has no scheme: write for example http://127.0.0.1:8081", redactAddress(text))
	default:
		return nil, fmt.Errorf("server url %q has the scheme %s: use http, https or h2c", redactAddress(text), u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("server url %q names no host", redactAddress(text))
	}
	return u, nil
}

// parseDuration parses Go's format or, as Traefik does, a number of seconds.
func parseDuration(text string) (time.Duration, error) {
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(seconds) * time.Second, nil
	}
	return time.ParseDuration(text)
}

// link checks that the services of all routers exist, and sorts the routers by priority.
func (d *decoder) link() {
	for _, r := range d.config.routers {
		if r.service == "" || d.config.services[r.service] != nil {
			continue
		}
		if strings.HasSuffix(r.service, "@file") {
			d.problems = append(d.problems, &problem{d.file, r.line, fmt.Sprintf("router %s: service %s does not exist",
				strings.TrimSuffix(r.name, "@file"), strings.TrimSuffix(r.service, "@file"))})
			continue
		}
		d.problems = append(d.problems, &problem{d.file, r.line, fmt.Sprintf("router %s: service %s is of another provider: only services of this file are known",
			strings.TrimSuffix(r.name, "@file"), r.service)})
	}
	slices.SortStableFunc(d.config.routers, func(a, b *routerConfig) int {
		if a.priority != b.priority {
			if a.priority > b.priority {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
}

func (d *decoder) text(what string, n *yaml.Node) string {
	n = follow(n)
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		d.fail(n, "%s must be text", what)
		return ""
	}
	return n.Value
}

func (d *decoder) sequence(what string, n *yaml.Node) []*yaml.Node {
	n = follow(n)
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "%s must be a list", what)
		return nil
	}
	return n.Content
}

func (d *decoder) texts(what string, n *yaml.Node) []string {
	var list []string
	for _, item := range d.sequence(what, n) {
		list = append(list, d.text(what, item))
	}
	return list
}

func (d *decoder) integer(what string, n *yaml.Node) int {
	value, err := strconv.Atoi(d.text(what, n))
	if err != nil {
		d.fail(n, "%s must be a whole number, not %q", what, n.Value)
	}
	return value
}

func (d *decoder) boolean(what string, n *yaml.Node) bool {
	value, err := strconv.ParseBool(d.text(what, n))
	if err != nil {
		d.fail(n, "%s must be true or false, not %q", what, n.Value)
	}
	return value
}
