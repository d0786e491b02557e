package edge

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxConfigSize limits the configuration after templates, in bytes.
const maxConfigSize = 4 << 20

// entryPointName is the name of the only entry point.
const entryPointName = "web"

// dashboardName is the name of the dashboard's address in metrics, as in Traefik.
const dashboardName = "traefik"

// config is a loaded dynamic configuration, checked as a whole: every router names an existing service.
type config struct {
	routers  []*routerConfig // highest priority first
	services map[string]*serviceConfig
	warnings []string // about keys that have no effect
}

type routerConfig struct {
	name        string // with provider: uservice1@file
	line        int
	rule        rule
	entryPoints []string // as written
	service     string   // with provider
	written     string   // the service's name in the file and in spans
	priority    int
}

type serviceConfig struct {
	name           string
	servers        []serverConfig
	passHostHeader bool
	flushInterval  time.Duration // negative: after each write
}

type serverConfig struct {
	text         string // as written
	url          *url.URL
	weight       int
	preservePath bool
}

// problem is a mistake in the configuration. Line 0 means that the line is unknown.
type problem struct {
	file string
	line int
	text string
}

func (p *problem) Error() string {
	if p.line == 0 {
		return p.file + ": " + p.text
	}
	return fmt.Sprintf("%s:%d: %s", p.file, p.line, p.text)
}

// loadConfig reads a dynamic configuration in Traefik's format. It uses the file name only in messages. It
// reports all problems together, in the order of lines.
func loadConfig(file string, text []byte, getenv func(string) string) (*config, error) {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".toml", ".json":
		return nil, &problem{file, 0, "only YAML is read here: convert the file to YAML"}
	}
	rendered, err := render(file, text, getenv)
	if err != nil {
		return nil, err
	}
	return parseConfig(file, rendered)
}

// render executes the file as a Go template with the function env, as Traefik does.
func render(file string, text []byte, getenv func(string) string) ([]byte, error) {
	t, err := template.New(filepath.Base(file)).Funcs(template.FuncMap{"env": getenv}).Parse(string(text))
	if err != nil {
		return nil, templateProblem(file, err)
	}
	out := limitedBuffer{left: maxConfigSize}
	if err := t.Execute(&out, nil); err != nil {
		return nil, templateProblem(file, err)
	}
	return out.Bytes(), nil
}

// limitedBuffer stops a template with unlimited output.
type limitedBuffer struct {
	bytes.Buffer
	left int
}

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, fmt.Errorf("the configuration is larger than %d bytes", maxConfigSize)
	}
	return b.Buffer.Write(p)
}

var (
	templateLine     = regexp.MustCompile(`^template: [^\n]*?:(\d+):(?:\d+:)? ?`)
	undefinedInError = regexp.MustCompile(`function ("[^"]*") not defined`)
)

// templateProblem converts an error of text/template to a problem with a line.
func templateProblem(file string, err error) error {
	text, line := err.Error(), 0
	if m := templateLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = strings.TrimPrefix(text, m[0])
	}
	if m := undefinedInError.FindStringSubmatch(text); m != nil {
		text = fmt.Sprintf("function %s is not supported: templates may use env and the built-in functions of Go's text/template", m[1])
	}
	return &problem{file, line, "run template: " + text}
}

var (
	yamlLine        = regexp.MustCompile(`^yaml: line (\d+): `)
	yamlParserError = regexp.MustCompile(`^did not find expected (key|',' or '[}\]]'|node content|'-' indicator|<document start>)`)
)

// parseConfig parses the configuration after its templates have run.
func parseConfig(file string, text []byte) (*config, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, &problem{file, 0, "the configuration is empty"}
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, yamlProblem(file, err)
	}
	d := decoder{file: file, config: &config{services: map[string]*serviceConfig{}}}
	if len(document.Content) == 1 {
		d.root(document.Content[0])
	}
	d.link()
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b *problem) int { return a.line - b.line })
		errs := make([]error, len(d.problems))
		for i, p := range d.problems {
			errs[i] = p
		}
		return nil, errors.Join(errs...)
	}
	return d.config, nil
}

func yamlProblem(file string, err error) error {
	text, line := err.Error(), 0
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = strings.TrimPrefix(text, m[0])
		if yamlParserError.MatchString(text) {
			line++ // the library counts the lines of its parser's errors from 0
		}
	}
	return &problem{file, line, "read YAML: " + strings.TrimPrefix(text, "yaml: ")}
}

// qualified adds the provider to a name, as Traefik displays it.
func qualified(name string) string {
	if strings.Contains(name, "@") {
		return name
	}
	return name + "@file"
}
