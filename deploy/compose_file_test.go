package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// composeFile is the part of a compose file that the tests look at.
type composeFile struct {
	Version  any                       `yaml:"version"`
	Services map[string]composeService `yaml:"services"`
	Volumes  map[string]any            `yaml:"volumes"`
}

type composeService struct {
	Image       string            `yaml:"image"`
	Command     []string          `yaml:"command"`
	User        string            `yaml:"user"`
	Environment map[string]string `yaml:"environment"`
	Ports       []string          `yaml:"ports"`
	Volumes     []string          `yaml:"volumes"`
	Profiles    []string          `yaml:"profiles"`
	Networks    map[string]struct {
		Aliases []string `yaml:"aliases"`
	} `yaml:"networks"`
	Restart     string `yaml:"restart"`
	MemLimit    string `yaml:"mem_limit"`
	CPUs        string `yaml:"cpus"`
	Healthcheck struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
	DependsOn map[string]struct {
		Condition string `yaml:"condition"`
	} `yaml:"depends_on"`
	Build struct {
		Context    string `yaml:"context"`
		Dockerfile string `yaml:"dockerfile"`
	} `yaml:"build"`
}

const repository = ".."

// variable matches ${NAME:-default}, the only form of substitution in our compose files.
var variable = regexp.MustCompile(`\$\{([A-Z0-9_]+):-([^}]*)\}`)

// readCompose parses one compose file with every variable at its default.
func readCompose(t *testing.T, name string) composeFile {
	t.Helper()
	text := readFile(t, name)
	var file composeFile
	decodeYAML(t, name, variable.ReplaceAllString(text, "$2"), &file)
	return file
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func decodeYAML(t *testing.T, name, text string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// decodeStrict refuses keys that the target does not name: it catches a misspelt key, which the
// real program would refuse at start or, worse, ignore.
func decodeStrict(t *testing.T, name string, into any) {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(readFile(t, name)))
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
