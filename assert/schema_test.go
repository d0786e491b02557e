package assert_test

import (
	"flag"
	"reflect"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v3"

	"etude/assert"
	"etude/internal/spantest"
)

// updating reports whether -update was given, which spantest declares.
func updating() bool {
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

// schemaOfSpec makes the schema. Types that read themselves are described here.
func schemaOfSpec(t testing.TB) *jsonschema.Schema {
	t.Helper()
	text := func(pattern string) *jsonschema.Schema {
		return &jsonschema.Schema{Type: "string", Pattern: pattern}
	}
	zero := 0.0
	number := &jsonschema.Schema{Type: "integer", Minimum: &zero}
	count := &jsonschema.Schema{AnyOf: []*jsonschema.Schema{number, text(`^\s*(=|>=|<=)?\s*\d+\s*$`),
		{Type: "object", Properties: map[string]*jsonschema.Schema{"min": number, "max": number}, AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}}}}}
	types := map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[assert.Count]():      count,
		reflect.TypeFor[*assert.Count]():     count,
		reflect.TypeFor[assert.Duration]():   text(`^[0-9.]+(ns|us|µs|ms|s|m|h)`),
		reflect.TypeFor[assert.Comparison](): text(`.+(<|>).+`),
	}
	expectation, err := jsonschema.For[assert.Expectation](&jsonschema.ForOptions{TypeSchemas: types})
	if err != nil {
		t.Fatal(err)
	}
	types[reflect.TypeFor[assert.Expectation]()] = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{text(`[{(]`), expectation}}
	schema, err := jsonschema.For[assert.Spec](&jsonschema.ForOptions{TypeSchemas: types})
	if err != nil {
		t.Fatal(err)
	}
	schema.Schema = "https://json-schema.org/draft/2020-12/schema"
	notNull(schema)
	schema.Title = "Expectations about spans, for etude test"
	return schema
}

// notNull takes off the null that the library adds for pointers and slices.
func notNull(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if len(s.Types) > 0 && s.Types[0] == "null" {
		s.Type, s.Types = strings.Join(s.Types[1:], ""), nil
	}
	for _, below := range s.Properties {
		notNull(below)
	}
	for _, below := range s.AnyOf {
		notNull(below)
	}
	notNull(s.Items)
	notNull(s.AdditionalProperties)
}

// TestSchemaAgreesWithTheParser: what parses is valid, and what has an unknown
// field is not.
func TestSchemaAgreesWithTheParser(t *testing.T) {
	t.Parallel()
	resolved, err := schemaOfSpec(t).Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	valid := func(text string) error {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			return err
		}
		return resolved.Validate(v)
	}
	_, good := spantest.Cases(t, "testdata/verdicts.txt")
	checked := 0
	for _, c := range good {
		if _, text, _ := strings.Cut(c.Input, "\nexpect"); strings.HasPrefix(text, ":") {
			checked++
			if err := valid("expect" + text); err != nil {
				t.Errorf("%s: %v", c.Name, err)
			}
		}
	}
	if checked < 4 {
		t.Errorf("only %d files were checked", checked)
	}
	for _, text := range []string{"expected: []", "expect: [{must: '{ }', cuont: 1}]", "expect: [{trace: '{ }', spans: {a: {nmae: x}}}]", "expect: [{must: '{ }', count: {least: 1}}]"} {
		if valid(text) == nil {
			t.Errorf("the schema accepts %s", text)
		}
		if _, err := assert.ParseYAML([]byte(text)); err == nil {
			t.Errorf("the parser accepts %s", text)
		}
	}
}
