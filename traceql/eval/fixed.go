package eval

import (
	"slices"

	"etude/trace"
	"etude/traceql/syntax"
)

// fixedColumns are the attributes that have a column of their own in every block
// of Tempo's format. Tempo shows them in groups even where a span lacks them.
var fixedColumns = map[syntax.Scope][]string{
	syntax.ScopeResource: {"cluster", "namespace", "pod", "container",
		"k8s.cluster.name", "k8s.namespace.name", "k8s.pod.name", "k8s.container.name"},
	syntax.ScopeSpan: {"http.method", "http.url", "http.status_code",
		"http.route", "http.request.method", "server.address", "url.path", "url.route"},
}

// fixedTypes are the types of fixed columns of spans. In by() Tempo reads what
// has another type, such as a status code sent as text, as missing.
var fixedTypes = map[string]trace.Type{
	"http.method": trace.String, "http.url": trace.String, "http.status_code": trace.Int,
}

// FixedColumn tells whether Tempo's format has a column for an attribute of
// spans or resources alone, which it shows even where spans lack it.
func FixedColumn(s syntax.Scope, name string) bool {
	return slices.Contains(fixedColumns[s], name)
}
