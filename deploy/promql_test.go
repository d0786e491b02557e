package deploy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
)

// knownMetric is a line of testdata/metrics.txt.
type knownMetric struct {
	kind   string
	labels []string
	source string
}

func readMetrics(t *testing.T) map[string]knownMetric {
	t.Helper()
	known := map[string]knownMetric{}
	for line := range strings.Lines(readFile(t, "deploy/testdata/metrics.txt")) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		if len(fields) != 4 || !slices.Contains([]string{"counter", "gauge", "histogram"}, fields[1]) {
			t.Fatalf("metrics.txt: %q: want name, type, labels, source", line)
		}
		m := knownMetric{kind: fields[1], labels: []string{"job", "instance"}, source: fields[3]}
		if fields[2] != "-" {
			m.labels = append(m.labels, strings.Split(fields[2], ",")...)
		}
		for _, name := range series(fields[0], m.kind) {
			if strings.HasSuffix(name, "_bucket") {
				m.labels = append(slices.Clone(m.labels), "le")
			}
			known[name] = m
		}
	}
	return known
}

// series are the names that a metric's samples have. A native histogram has the
// metric's own name.
func series(name, kind string) []string {
	if kind == "histogram" {
		return []string{name, name + "_count", name + "_sum", name + "_bucket"}
	}
	return []string{name}
}

// builtin are Grafana's own variables, with something that PromQL takes in their place.
var builtin = strings.NewReplacer("$__rate_interval", "1m", "$__range", "30m", "$$__tags", `service="a"`)

// plain is a query without variables.
func plain(text string, vars []templateVariable) string {
	text = builtin.Replace(text)
	for _, v := range vars {
		text = strings.ReplaceAll(text, "$"+v.Name, "x")
	}
	return text
}

// TestDashboardQueries: every query parses, and asks for metrics and labels that there are.
func TestDashboardQueries(t *testing.T) {
	t.Parallel()
	known := readMetrics(t)
	used := map[string]bool{}
	for name, d := range readDashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				if target.Expr == "" {
					continue
				}
				for _, problem := range checkQuery(target.Expr, d.Templating.List, known, used) {
					t.Errorf("%s: %s: %s\n%s", name, p.Title, problem, target.Expr)
				}
				checkLegend(t, name+": "+p.Title, target, d.Templating.List, known)
			}
		}
		for _, v := range d.Templating.List {
			checkVariable(t, name, v, known)
		}
	}
	for name, m := range known { // dashboards need not show everything, but all that the backend is watched by
		if m.source == "backend" && m.kind != "histogram" && !used[name] {
			t.Errorf("no dashboard shows %s", name)
		}
	}
}

// TestDataSourceQueries: those that lead from a span to metrics.
func TestDataSourceQueries(t *testing.T) {
	t.Parallel()
	var sources grafanaDataSources
	decodeStrict(t, "conf/grafana/provisioning/datasources/datasources.yaml", &sources)
	known, n := readMetrics(t), 0
	for _, source := range sources.DataSources {
		for _, q := range source.JSONData.TracesToMetrics.Queries {
			n++
			for _, problem := range checkQuery(q.Query, nil, known, map[string]bool{}) {
				t.Errorf("%s: %s\n%s", q.Name, problem, q.Query)
			}
		}
	}
	if n == 0 {
		t.Error("no queries lead from a span to metrics")
	}
}

// checkQuery returns what is wrong with a query and notes the metrics that it uses.
func checkQuery(text string, vars []templateVariable, known map[string]knownMetric, used map[string]bool) (problems []string) {
	text = plain(text, vars)
	if strings.Contains(text, "$") {
		return []string{"a variable that is not declared"}
	}
	expr, err := promQL(text)
	if err != nil {
		return []string{err.Error()}
	}
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	parser.Inspect(expr, func(node parser.Node, path []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			used[n.Name] = true
			m, ok := known[n.Name]
			if !ok {
				problem("metrics.txt does not know %s", n.Name)
				return nil
			}
			for _, matcher := range n.LabelMatchers {
				if matcher.Name != "__name__" && !slices.Contains(m.labels, matcher.Name) {
					problem("%s has no label %s", n.Name, matcher.Name)
				}
			}
			if rated := isRated(path); rated != (m.kind != "gauge") {
				problem("%s is a %s, and rate() of it is taken: %v", n.Name, m.kind, rated)
			}
		case *parser.AggregateExpr:
			for _, name := range selectors(n) {
				for _, label := range n.Grouping {
					if m := known[name]; !slices.Contains(m.labels, label) {
						problem("%s has no label %s to group by", name, label)
					}
				}
			}
		}
		return nil
	})
	return problems
}

// isRated reports whether a selector is an argument of rate or increase.
func isRated(path []parser.Node) bool {
	for _, node := range path {
		if call, ok := node.(*parser.Call); ok && (call.Func.Name == "rate" || call.Func.Name == "increase") {
			return true
		}
	}
	return false
}

// selectors are the names of the metrics below a node.
func selectors(node parser.Node) (names []string) {
	parser.Inspect(node, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			names = append(names, s.Name)
		}
		return nil
	})
	return names
}

var legendLabel = regexp.MustCompile(`\{\{(\w+)\}\}`)

// checkLegend: a legend names only labels that the answer has.
func checkLegend(t *testing.T, where string, target panelTarget, vars []templateVariable, known map[string]knownMetric) {
	t.Helper()
	expr, err := promQL(plain(target.Expr, vars))
	if err != nil {
		return // checkQuery tells
	}
	for _, m := range legendLabel.FindAllStringSubmatch(target.Legend, -1) {
		if !slices.Contains(labelsOf(expr, known), m[1]) {
			t.Errorf("%s: the legend names %s, which the answer has not: %s", where, m[1], target.Expr)
		}
	}
}

// labelsOf are the labels that the answer to an expression may have.
func labelsOf(expr parser.Expr, known map[string]knownMetric) []string {
	switch e := expr.(type) {
	case *parser.AggregateExpr:
		return e.Grouping
	case *parser.VectorSelector:
		return known[e.Name].labels
	case *parser.MatrixSelector:
		return labelsOf(e.VectorSelector, known)
	case *parser.ParenExpr:
		return labelsOf(e.Expr, known)
	case *parser.BinaryExpr:
		return labelsOf(e.LHS, known)
	case *parser.Call:
		if len(e.Args) > 0 {
			labels := labelsOf(e.Args[len(e.Args)-1], known)
			if e.Func.Name == "histogram_quantile" {
				labels = slices.DeleteFunc(slices.Clone(labels), func(l string) bool { return l == "le" })
			}
			return labels
		}
	}
	return nil
}

var labelValues = regexp.MustCompile(`^label_values\((\w+), (\w+)\)$`)

// checkVariable: a variable lists the values of a label that there is.
func checkVariable(t *testing.T, name string, v templateVariable, known map[string]knownMetric) {
	t.Helper()
	m := labelValues.FindStringSubmatch(v.Definition)
	if v.Type != "query" || v.Datasource != (datasourceLink{"prometheus", "prometheus"}) || m == nil {
		t.Errorf("%s: variable %+v", name, v)
		return
	}
	if !slices.Contains(known[m[1]].labels, m[2]) {
		t.Errorf("%s: variable %s: %s has no label %s", name, v.Name, m[1], m[2])
	}
}

// promQL parses an expression whose variables have been replaced.
func promQL(text string) (parser.Expr, error) {
	return parser.NewParser(parser.Options{}).ParseExpr(text)
}

var ownMetric = regexp.MustCompile("`((?:etude|traefik|traces)_[a-z_]*[a-z])`")

// TestDocsNameMetrics: the metrics that the documentation names are there, in
// metrics.txt or else among the backend's counters.
func TestDocsNameMetrics(t *testing.T) {
	t.Parallel()
	known, n := readMetrics(t), 0
	for name, m := range known {
		if base, ok := strings.CutSuffix(name, "_count"); ok && m.kind == "histogram" {
			known[base] = m
		}
	}
	counters := readFile(t, "program/backend/samples.go")
	for _, page := range []string{"docs/telemetry.md", "docs/real-stack.md"} {
		for _, m := range ownMetric.FindAllStringSubmatch(readFile(t, page), -1) {
			if n++; known[m[1]].kind == "" && !strings.Contains(counters, `"`+m[1]+`"`) {
				t.Errorf("%s names %s, which neither metrics.txt nor program/backend/samples.go knows", page, m[1])
			}
		}
	}
	if n < 12 {
		t.Errorf("only %d metrics are named", n)
	}
}
