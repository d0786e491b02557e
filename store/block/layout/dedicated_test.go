package layout

import (
	"reflect"
	"testing"
)

func TestParseDedicated(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Dedicated{
		"span.http.route":                 {Name: "http.route"},
		"span.http.status_code:int":       {Name: "http.status_code", Type: "int"},
		"resource.k8s.pod.name":           {Scope: "resource", Name: "k8s.pod.name"},
		"event.exception.stacktrace:blob": {Scope: "event", Name: "exception.stacktrace", Options: []string{"blob"}},
	} {
		if got, err := ParseDedicated(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "http.route", "span.", "scope.name", "span.a:double"} {
		if d, err := ParseDedicated(text); err == nil {
			t.Errorf("%q: accepted as %+v", text, d)
		}
	}
}

func TestAllowed(t *testing.T) {
	t.Parallel()
	all := []Dedicated{{Name: "http.method"}, {Name: "a"}, {Name: "b", Type: "int"}, {Name: "c", Options: []string{"blob"}},
		{Scope: "event", Name: "e"}, {Scope: "resource", Name: "k8s.pod.name"}, {Scope: "resource", Name: "service.name"}, {Scope: "resource", Name: "r"}}
	if got, want := VParquet4.Allowed(all), []Dedicated{{Name: "a"}, {Scope: "resource", Name: "r"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("vParquet4: %v, want %v", got, want)
	}
	if got := VParquet5.Allowed(all); len(got) != len(all)-1 {
		t.Errorf("vParquet5: %v", got)
	}
	many := make([]Dedicated, 30)
	for i := range many {
		many[i].Name = string(rune('a' + i))
	}
	if got := VParquet5.Allowed(many); len(got) != SpareStrings {
		t.Errorf("%d of %d columns", len(got), len(many))
	}
}
