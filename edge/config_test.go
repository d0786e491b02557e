package edge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

func noEnv(string) string { return "" }

// TestConfigProblems reads testdata/config-problems.txtar: a configuration in
// each file, and after a line "-- NAME.want --" the errors and warnings it
// leads to.
func TestConfigProblems(t *testing.T) {
	t.Parallel()
	archive, err := txtar.ParseFile("testdata/config-problems.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(archive.Files); i += 2 {
		in, want := archive.Files[i], archive.Files[i+1]
		if want.Name != in.Name+".want" {
			t.Fatalf("%s is followed by %s", in.Name, want.Name)
		}
		c, err := loadConfig("c.yaml", in.Data, noEnv)
		var got strings.Builder
		if err != nil {
			got.WriteString(err.Error() + "\n")
		} else {
			for _, w := range c.warnings {
				got.WriteString("warning " + w + "\n")
			}
		}
		if got.String() != string(want.Data) {
			t.Errorf("%s:\n got %swant %s", in.Name, got.String(), want.Data)
		}
	}
}

func TestConfigValues(t *testing.T) {
	t.Parallel()
	c, err := loadConfig("c.yaml", []byte(`
http:
  routers:
    long: {rule: "Path(`+"`/a`) || Path(`/b`"+`)", service: one}
    short: {rule: "Path(`+"`/a`"+`)", service: one@file, entryPoints: [web]}
    first: {rule: "Path(`+"`/c`"+`)", service: two, priority: 1000}
  services:
    one: {loadBalancer: {servers: [{url: "http://h:1", weight: 3}, {url: "h2c://h:2"}]}}
    two:
      loadBalancer:
        passHostHeader: false
        responseForwarding: {flushInterval: 5ms}
        servers: []
`), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, r := range c.routers {
		order = append(order, r.name)
	}
	if got := strings.Join(order, " "); got != "first@file long@file short@file" {
		t.Errorf("order of routers: %s", got)
	}
	one, two := c.services["one@file"], c.services["two@file"]
	if len(one.servers) != 2 || one.servers[0].weight != 3 || one.servers[1].weight != 1 || one.servers[1].url.Scheme != "h2c" {
		t.Errorf("servers of one: %+v", one.servers)
	}
	if !one.passHostHeader || two.passHostHeader || one.flushInterval != 100*time.Millisecond || two.flushInterval != 5*time.Millisecond {
		t.Errorf("settings: %+v, %+v", one, two)
	}
}

func TestConfigTemplates(t *testing.T) {
	t.Parallel()
	file := filepath.Join("..", "conf", "traefik", "dynamic.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(file, text, func(key string) string {
		return map[string]string{"USERVICE3_URL": "http://127.0.0.1:8083"}[key]
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.warnings) > 0 {
		t.Errorf("warnings %q", c.warnings)
	}
	for name, want := range map[string]string{"uservice1@file": "http://uservice1:7878", "uservice3@file": "http://127.0.0.1:8083"} {
		if got := c.services[name].servers[0].text; got != want {
			t.Errorf("server of %s: %s, want %s", name, got, want)
		}
	}
}

func TestConfigSizeIsBounded(t *testing.T) {
	t.Parallel()
	_, err := loadConfig("c.yaml", []byte(`{{ range 100000 }}{{ printf "%1000d" . }}{{ end }}`), noEnv)
	if err == nil || !strings.Contains(err.Error(), "larger than 4194304 bytes") {
		t.Fatalf("got %v", err)
	}
}

func FuzzConfig(f *testing.F) {
	archive, err := txtar.ParseFile("testdata/config-problems.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archive.Files {
		f.Add(string(file.Data))
	}
	f.Add("a: &a {<<: *a}\nhttp: *a")
	f.Add("http: &h {routers: *h, <<: [*h, *h]}")
	f.Add("http: {services: {s: {loadBalancer: {servers: [{url: 'http://[::1'}]}}}}")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseConfig("c.yaml", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "c.yaml:") {
				t.Errorf("error without place: %v", err)
			}
			return
		}
		for _, r := range c.routers {
			if r.rule.match == nil || c.services[r.service] == nil {
				t.Errorf("router %s is incomplete", r.name)
			}
		}
	})
}
