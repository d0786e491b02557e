package assert

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"etude/traceql/check"
	"etude/traceql/syntax"
)

// maxSpec is the maximum size of a file of expectations, in bytes.
const maxSpec = 1 << 20

// Parse reads a file of expectations: lines of TraceQL if its name ends in .traceql or .txt, otherwise YAML or
// JSON.
func Parse(name string, data []byte) (*Spec, error) {
	parse := ParseYAML
	if strings.HasSuffix(name, ".traceql") || strings.HasSuffix(name, ".txt") {
		parse = ParseLines
	}
	spec, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return spec, nil
}

// ParseYAML reads a Spec. Errors name lines. An unknown field is an error.
func ParseYAML(data []byte) (*Spec, error) {
	if len(data) > maxSpec {
		return nil, fmt.Errorf("%d bytes, at most %d are allowed", len(data), maxSpec)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	spec := &Spec{}
	if err := decode(d, spec); err != nil {
		return nil, plainer(err)
	}
	if len(spec.Expect) == 0 {
		return nil, errors.New("no expectations: want a list under expect")
	}
	for i := range spec.Expect {
		e := &spec.Expect[i]
		if err := e.check(); err != nil {
			return nil, fmt.Errorf("line %d: %w", e.line, err)
		}
	}
	return spec, nil
}

// decode recovers from a panic of the YAML library.
func decode(d *yaml.Decoder, spec *Spec) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the YAML cannot be read: %v", p)
		}
	}()
	if err := d.Decode(spec); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("the file has a second document; want one")
	}
	return nil
}

var typeName = expression(`in type assert\.(\w+)`)

// plainer removes Go's type names from the YAML library's errors.
func plainer(err error) error {
	where := map[string]string{"Spec": "at the top", "plainExpectation": "in an expectation", "Pattern": "in a description of spans", "plainCount": "in a count"}
	text := typeName().ReplaceAllStringFunc(err.Error(), func(s string) string {
		if known, ok := where[strings.TrimPrefix(s, "in type assert.")]; ok {
			return known
		}
		return s
	})
	text = strings.TrimPrefix(strings.TrimPrefix(text, "yaml: "), "unmarshal errors:\n  ")
	return errors.New(strings.ReplaceAll(text, " not found ", " does not exist "))
}

// plainExpectation has the fields of an Expectation and no UnmarshalYAML.
type plainExpectation Expectation

// UnmarshalYAML parses an expectation: a mapping, or a line of TraceQL.
func (e *Expectation) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		line, err := parseLine(node.Value)
		if err != nil {
			return fmt.Errorf("line %d: %w", node.Line, err)
		}
		*e = line
		e.line = node.Line
		return nil
	}
	var plain plainExpectation
	if err := knownFields(node, &plain); err != nil {
		return err
	}
	*e = Expectation(plain)
	e.line = node.Line
	return nil
}

// UnmarshalYAML parses a pattern.
func (p *Pattern) UnmarshalYAML(node *yaml.Node) error {
	type plainPattern Pattern
	var plain plainPattern
	if err := knownFields(node, &plain); err != nil {
		return err
	}
	*p = Pattern(plain)
	return nil
}

// knownFields decodes a mapping and refuses unknown fields. The library's own check does not apply below an
// UnmarshalYAML.
func knownFields(node *yaml.Node, into any) error {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: want a mapping of fields to values", node.Line)
	}
	names := fieldNames(into)
	for i := 0; i+1 < len(node.Content); i += 2 {
		if key := node.Content[i]; !slices.Contains(names, key.Value) {
			return fmt.Errorf("line %d: field %s does not exist (there: %s)", key.Line, key.Value, strings.Join(names, ", "))
		}
	}
	return node.Decode(into)
}

// UnmarshalYAML parses a number, a bound such as ">=2", or min and max.
func (c *Count) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		count, err := parseCount(node.Value)
		if err != nil {
			return fmt.Errorf("line %d: %w", node.Line, err)
		}
		*c = count
		return nil
	}
	type plainCount Count
	var plain plainCount
	if err := knownFields(node, &plain); err != nil {
		return err
	}
	if plain.Min < 0 || plain.Max < 0 || plain.Max > 0 && plain.Min > plain.Max {
		return fmt.Errorf("line %d: count: min %d and max %d hold for no number", node.Line, plain.Min, plain.Max)
	}
	*c = Count(plain)
	return nil
}

var countText = expression(`^\s*(=|>=|<=|)\s*(\d{1,9})\s*$`)

func parseCount(text string) (Count, error) {
	m := countText().FindStringSubmatch(text)
	if m == nil {
		return Count{}, fmt.Errorf("count %q: want a number, =N, >=N, <=N, or min and max", text)
	}
	n, _ := strconv.Atoi(m[2]) // at most nine digits
	switch m[1] {
	case ">=":
		return Count{Min: n, Max: 0}, notZero(n)
	case "<=":
		return Count{Max: n}, nil
	}
	return Count{n, n}, nil
}

func notZero(n int) error {
	if n == 0 {
		return errors.New("count >=0 holds for every number")
	}
	return nil
}

// UnmarshalYAML parses a duration such as 1.5s.
func (d *Duration) UnmarshalYAML(node *yaml.Node) error {
	parsed, err := time.ParseDuration(node.Value)
	if err != nil || node.Kind != yaml.ScalarNode {
		return fmt.Errorf("line %d: %q is not a duration such as 500ms or 2s", node.Line, node.Value)
	}
	*d = Duration(parsed)
	return nil
}

// ParseLines reads one expectation from each line, except empty lines and lines that begin with #.
//
//	{...}        TraceQL that must match
//	! {...}      TraceQL that must not
//	=2 {...}     as many spans; likewise >=2 and <=2
func ParseLines(data []byte) (*Spec, error) {
	if len(data) > maxSpec {
		return nil, fmt.Errorf("%d bytes, at most %d are allowed", len(data), maxSpec)
	}
	spec := &Spec{}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		e, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		e.line = number
		spec.Expect = append(spec.Expect, e)
	}
	if len(spec.Expect) == 0 {
		return nil, errors.New("no expectations: want a line of TraceQL for each")
	}
	return spec, nil
}

var lineCount = expression(`^((?:=|>=|<=)\s*\d{1,9})\s*([{(].*)$`)

func parseLine(line string) (e Expectation, err error) {
	line = oneLine(line)
	switch m := lineCount().FindStringSubmatch(line); {
	case m != nil:
		count, err := parseCount(m[1])
		if err != nil {
			return e, err
		}
		e = Expectation{Must: m[2], Count: &count}
	case strings.HasPrefix(line, "!"):
		e = Expectation{Never: strings.TrimSpace(line[1:])}
	default:
		e = Expectation{Must: line}
	}
	return e, e.check()
}

// checkQuery finds the mistakes in a query that can be found without data.
func checkQuery(text string) error {
	q, err := syntax.Parse(text)
	if err == nil {
		err = check.Query(q)
	}
	if err != nil {
		return fmt.Errorf("the query does not parse: %w", err)
	}
	if q.Metrics != nil {
		return fmt.Errorf("%s is a metrics query; want one that finds spans", oneLine(text))
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
