package generator

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	good := map[string]Policy{
		"include kind=SPAN_KIND_SERVER":             {Include: &Match{Attributes: []Condition{{"kind", "SPAN_KIND_SERVER"}}}},
		`exclude name=a\,b\\c,  span.x = y=z`:       {Exclude: &Match{Attributes: []Condition{{"name", `a,b\c`}, {"span.x", " y=z"}}}},
		`include_any resource.a~^x\d, status~ERROR`: {IncludeAny: &Match{Regex: true, Attributes: []Condition{{"resource.a", `^x\d`}, {"status", "ERROR"}}}},
		"  include name=":                           {Include: &Match{Attributes: []Condition{{"name", ""}}}},
	}
	for line, want := range good {
		got, err := ParsePolicy(line)
		if err != nil {
			t.Errorf("ParsePolicy(%q): %v", line, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ParsePolicy(%q), want (-) and got (+):\n%s", line, diff)
		}
	}
	bad := map[string]string{
		"":                      `condition "": want key=value or key~expression`,
		"keep name=x":           `begins with "keep": want include, include_any or exclude`,
		"include name":          `condition "name": want key=value or key~expression`,
		"include color=red":     `condition on "color": want resource.NAME, span.NAME, kind, name or status`,
		"include span.=red":     `condition on "span."`,
		"include name~[":        "condition on name: error parsing regexp",
		"exclude name=a,kind~b": `condition "kind~b": = and ~ cannot be in one filter; use two filters`,
	}
	for line, want := range bad {
		if _, err := ParsePolicy(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParsePolicy(%q): error %v, want %s", line, err, want)
		}
	}
}

// FuzzParsePolicy: a policy that is read can be used, and has a condition.
func FuzzParsePolicy(f *testing.F) {
	f.Add("include kind=SPAN_KIND_SERVER, resource.service.name=shop")
	f.Add(`exclude name~^/health\,`)
	f.Fuzz(func(t *testing.T, line string) {
		p, err := ParsePolicy(line)
		if err != nil {
			return
		}
		c, err := compilePolicies([]Policy{p})
		if err != nil || len(c[0].include)+len(c[0].includeAny)+len(c[0].exclude) == 0 {
			t.Errorf("policy %+v, error %v", c, err)
		}
	})
}

// FuzzDimensions: a generator refuses names that cannot be labels, and the others
// never meet a name that is taken.
func FuzzDimensions(f *testing.F) {
	f.Add("http.method", "where", true)
	f.Add("service", "le", false)
	f.Fuzz(func(t *testing.T, dimension, mapping string, target bool) {
		o := both()
		o.Source, o.Out = &memoryStore{}, &discarder{}
		o.SpanMetrics.Dimensions, o.SpanMetrics.TargetInfo = []string{dimension}, target
		o.SpanMetrics.Mappings = []Mapping{{Name: mapping, Source: []string{"a", "b"}}}
		g, err := New(o)
		if err != nil {
			return
		}
		source := &memoryStore{}
		source.add(t, spansOf(t, "trace=1 span=1 service=s a=1")...)
		g.o.Source, g.lastRead = source, 0
		out := &recorder{}
		g.o.Out = out
		if err := g.Collect(t.Context(), g.oneCollectionLater()); err != nil {
			t.Fatal(err)
		}
		for _, s := range out.take() {
			if name, found := s.labels.HasDuplicateLabelNames(); found {
				t.Errorf("label %s twice in %s", name, s.labels)
			}
		}
	})
}
