package program

import (
	"encoding"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"etude/program/flags"
)

// parse returns the selected command of a command line, with its flags.
func parse(t *testing.T, args ...string) *kong.Node {
	t.Helper()
	p, err := newParser(args[0], io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := p.Parse(args)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	return ctx.Selected()
}

// decidedByUp are flags of children whose value `up` works out for each child.
var decidedByUp = map[string]string{
	"listen-addr":     "follows --port-offset",
	"next-url":        "follows --port-offset",
	"trace-exporter":  "the demo's edge speaks Jaeger, as its lesson says",
	"jaeger-endpoint": "the backend that up starts",
	"jaeger-header":   "the tenant of the demo",
}

// TestUpHandsOnEveryFlag sets each flag of each child on `up`, and wants that
// value in the child's own parse.
func TestUpHandsOnEveryFlag(t *testing.T) {
	children := []string{"backend", "edge"}
	for _, s := range services {
		children = append(children, s.name)
	}
	for _, child := range children {
		for _, flag := range parse(t, child).Flags {
			t.Run(child+" "+flag.Name, func(t *testing.T) { checkHandedOn(t, child, flag) })
		}
	}
}

func checkHandedOn(t *testing.T, child string, flag *kong.Flag) {
	of := sameFlag(parse(t, "up").Flags, flag)
	if of == nil {
		if decidedByUp[flag.Name] == "" {
			t.Errorf("`etude up` has no flag --%s: embed the struct that declares it in upCmd as well", flag.Name)
		}
		return
	}
	value := anotherValue(t, flag)
	h, err := handOn(parse(t, "up", "--"+of.Name+"="+value), child)
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range h.env {
		name, text, _ := strings.Cut(pair, "=")
		t.Setenv(name, text)
	}
	want := flagTexts(find(parse(t, child, "--"+flag.Name+"="+value).Flags, flag.Name))
	if got := flagTexts(find(parse(t, append([]string{child}, h.args...)...).Flags, flag.Name)); !slices.Equal(got, want) {
		t.Errorf("up --%s=%s: %s gets %q, want %q; it was given %q", of.Name, value, child, got, want, h.args)
	}
	if slices.Equal(want, flagTexts(flag)) {
		t.Errorf("--%s=%s changes nothing, so this test could not fail", flag.Name, value)
	}
	if flag.Tag.Has("secret") && strings.Contains(strings.Join(h.args, " "), value) {
		t.Errorf("the secret is on the command line: %q", h.args)
	}
}

func find(flags []*kong.Flag, name string) *kong.Flag {
	return flags[slices.IndexFunc(flags, func(f *kong.Flag) bool { return f.Name == name })]
}

// anotherValue is one that the flag does not have by default.
func anotherValue(t *testing.T, f *kong.Flag) string {
	for _, choice := range f.EnumSlice() {
		if choice != "" && choice != f.Default {
			return choice
		}
	}
	switch f.Target.Type().Name() {
	case "selfTraceTarget":
		return "http://127.0.0.1:4318/v1/traces"
	case "dedicatedFlag":
		return "span.http.route"
	}
	switch f.Target.Addr().Interface().(type) {
	case *time.Duration, *flags.AutoDuration:
		return "1h7m"
	case *flags.AutoCount:
		return "7"
	case *flags.Bytes, *flags.AutoBytes:
		return "7MiB"
	case encoding.TextUnmarshaler:
		t.Fatalf("give anotherValue a text for %s", f.Target.Type())
	}
	switch f.Target.Kind() {
	case reflect.Bool:
		return map[bool]string{true: "false", false: "true"}[f.Target.Bool()]
	case reflect.String:
		return "other one"
	case reflect.Slice:
		if f.Target.Type().Elem().Kind() != reflect.String {
			return "0.25,2.5"
		}
		return "one two,three;four=5"
	case reflect.Map:
		return "some.name:1=127.0.0.1:2"
	}
	return "4711"
}

// TestHandOnIsBrief: the child finds defaults and the environment by itself.
func TestHandOnIsBrief(t *testing.T) {
	t.Setenv("ETUDE_MAX_QUERIES", "7")
	h, err := handOn(parse(t, "up"), "backend")
	if err != nil || len(h.args) > 0 {
		t.Errorf("%q, %v: want nothing", h.args, err)
	}
	h, err = handOn(parse(t, "up", "--max-queries=16"), "backend")
	if want := []string{"--max-queries=16"}; err != nil || !slices.Equal(h.args, want) {
		t.Errorf("%q, %v: want %q, since the environment says otherwise", h.args, err, want)
	}
}

// TestHandOnKeepsElementsWhole: separators inside of a value do not cut it.
func TestHandOnKeepsElementsWhole(t *testing.T) {
	given := []string{"--metrics.filter=include kind=SPAN_KIND_SERVER, name=a", "--metrics.filter=exclude name~^/health",
		"--metrics.external-labels=source=etude,cluster=a b", "--metrics.dimensions=http.method,zo\\,ne"}
	h, err := handOn(parse(t, append([]string{"up"}, given...)...), "backend")
	if err != nil {
		t.Fatal(err)
	}
	want, got := parse(t, append([]string{"backend"}, given...)...), parse(t, append([]string{"backend"}, h.args...)...)
	for _, flag := range want.Flags {
		if a, b := flagTexts(flag), flagTexts(find(got.Flags, flag.Name)); !slices.Equal(a, b) {
			t.Errorf("--%s: %q, want %q", flag.Name, b, a)
		}
	}
}
