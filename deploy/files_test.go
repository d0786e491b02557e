package deploy

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

var composeFiles = []string{"compose.yaml", "compose.jaeger.yaml", "compose.etude.yaml"}

// ourImage is what the services run when ETUDE_IMAGE is not set.
const ourImage = "etude:local"

// TestImagesArePinned: the configuration files are written for exactly these versions.
func TestImagesArePinned(t *testing.T) {
	t.Parallel()
	want := map[string]map[string]string{
		"compose.yaml": {
			"traefik": "traefik:v3.7.13", "tempo": "grafana/tempo:3.0.3",
			"prometheus": "prom/prometheus:v3.16.0", "grafana": "grafana/grafana:13.2.3",
			"uservice1": ourImage, "uservice2": ourImage, "uservice3": ourImage, "uservice4": ourImage,
		},
		"compose.jaeger.yaml": {"traefik": "traefik:v2.11.53"},
		"compose.etude.yaml": {
			"edge": ourImage, "backend": ourImage, "grafana": "grafana/grafana:13.2.3",
			"uservice1": ourImage, "uservice2": ourImage, "uservice3": ourImage, "uservice4": ourImage,
		},
	}
	for name, images := range want {
		services := readCompose(t, name).Services
		if len(services) != len(images) {
			t.Errorf("%s: %d services, want %d", name, len(services), len(images))
		}
		for service, image := range images {
			if got := services[service].Image; got != image {
				t.Errorf("%s: image of %s is %q, want %q", name, service, got, image)
			}
		}
	}
}

// published is the demo's list of ports: host port at its default, and the port inside.
var published = map[string][]string{
	"compose.yaml": {
		"grafana 3000:3000", "prometheus 9090:9090",
		"tempo 14268:14268", "tempo 3200:3200", "tempo 4317:4317", "tempo 4318:4318", "tempo 9411:9411",
		"traefik 8080:8080", "traefik 80:80",
		"uservice1 8081:7878", "uservice2 8082:7878", "uservice3 8083:7878", "uservice4 8084:7878",
	},
	"compose.jaeger.yaml": nil,
	"compose.etude.yaml": {
		"backend 14268:14268", "backend 3000:3000", "backend 3200:3200", "backend 4317:4317",
		"backend 4318:4318", "backend 9090:9090", "backend 9411:9411",
		"edge 8080:8080", "edge 80:80", "grafana 3001:3000",
		"uservice1 8081:7878", "uservice2 8082:7878", "uservice3 8083:7878", "uservice4 8084:7878",
	},
}

func TestPortsAreOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	movable := regexp.MustCompile(`- "127\.0\.0\.1:\$\{ETUDE_PORT_[A-Z0-9_]+:-\d+\}:\d+"`)
	for _, name := range composeFiles {
		var got []string
		for service, s := range readCompose(t, name).Services {
			for _, port := range s.Ports {
				rest, ok := strings.CutPrefix(port, "127.0.0.1:")
				if !ok {
					t.Errorf("%s: %s publishes %s beyond 127.0.0.1", name, service, port)
				}
				got = append(got, service+" "+rest)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, published[name]) {
			t.Errorf("%s publishes\n%q, want\n%q", name, got, published[name])
		}
		if n := len(movable.FindAllString(readFile(t, name), -1)); n != len(got) {
			t.Errorf("%s: %d of %d ports can be moved by a variable ETUDE_PORT_...", name, n, len(got))
		}
	}
}

func TestServicesAreBoundedAndChecked(t *testing.T) {
	t.Parallel()
	for _, name := range composeFiles {
		file := readCompose(t, name)
		if file.Version != nil {
			t.Errorf("%s has a version key, which Compose v2 calls obsolete", name)
		}
		// An overlay leaves the rest to the file below it.
		if name == "compose.jaeger.yaml" {
			continue
		}
		for service, s := range file.Services {
			if s.MemLimit == "" || s.CPUs == "" {
				t.Errorf("%s: %s has no limit of memory or processors", name, service)
			}
			if s.Restart != "no" {
				t.Errorf("%s: %s restarts by itself (%q), so the stack would not stop as a whole", name, service, s.Restart)
			}
			if len(s.Healthcheck.Test) == 0 {
				t.Errorf("%s: %s has no health check", name, service)
			}
			if s.Image == ourImage && s.User != "" {
				t.Errorf("%s: %s overrides the user of the image", name, service)
			}
			for other := range s.DependsOn {
				if _, ok := file.Services[other]; !ok {
					t.Errorf("%s: %s waits for %s, which is not a service", name, service, other)
				}
			}
		}
	}
}

// TestMountsExist: an engine makes a missing source into an empty folder, and the program inside
// then fails with an error about something else.
func TestMountsExist(t *testing.T) {
	t.Parallel()
	for _, name := range composeFiles {
		file := readCompose(t, name)
		for service, s := range file.Services {
			for _, volume := range s.Volumes {
				source, rest, _ := strings.Cut(volume, ":")
				if !strings.HasPrefix(source, ".") {
					if _, ok := file.Volumes[source]; !ok {
						t.Errorf("%s: %s mounts volume %s, which is not declared", name, service, source)
					}
					continue
				}
				if _, err := os.Stat(filepath.Join(repository, source)); err != nil {
					t.Errorf("%s: %s: %v", name, service, err)
				}
				if !strings.HasSuffix(rest, ":ro") {
					t.Errorf("%s: %s may write to %s", name, service, source)
				}
			}
		}
	}
}

// TestConfIsReadableByAll looks at the working tree, since git keeps only the x bit: containers
// read these files as users of their own.
func TestConfIsReadableByAll(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("file modes mean nothing here")
	}
	err := filepath.WalkDir(filepath.Join(repository, "conf"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o444)
		if entry.IsDir() {
			want = 0o555
		}
		if info.Mode().Perm()&want != want {
			t.Errorf("%s has mode %v; run: chmod -R a+rX conf", path, info.Mode())
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryYAMLParses(t *testing.T) {
	t.Parallel()
	names := slices.Clone(composeFiles)
	err := filepath.WalkDir(filepath.Join(repository, "conf"), func(path string, entry fs.DirEntry, err error) error {
		if name, _ := filepath.Rel(repository, path); err == nil && filepath.Ext(path) == ".yaml" {
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < len(composeFiles)+6 {
		t.Errorf("only %d files found: %q", len(names), names)
	}
	for _, name := range names {
		var content map[string]any
		decodeYAML(t, name, readFile(t, name), &content)
		if len(content) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
}

// TestComposeAccepts lets the installed compose program read the files; it needs no engine.
func TestComposeAccepts(t *testing.T) {
	t.Parallel()
	compose := findCompose()
	if compose == nil {
		if os.Getenv("CI") != "" {
			t.Fatal("neither docker compose nor docker-compose is installed; CI must have one")
		}
		t.Skip("neither docker compose nor docker-compose is installed")
	}
	for _, files := range [][]string{
		{"compose.yaml"},
		{"compose.yaml", "compose.jaeger.yaml"},
		{"compose.etude.yaml"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		arguments := slices.Clone(compose[1:])
		for _, file := range files {
			arguments = append(arguments, "-f", file)
		}
		command := exec.CommandContext(ctx, compose[0], append(arguments, "config")...)
		command.Dir = repository
		output, err := command.CombinedOutput()
		cancel()
		if err != nil {
			t.Errorf("%v: %v\n%s", files, err, output)
		}
	}
}

// findCompose is the command line of Compose v2 or of docker-compose, nil without either.
func findCompose() []string {
	if docker, err := exec.LookPath("docker"); err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if exec.CommandContext(ctx, docker, "compose", "version").Run() == nil {
			return []string{docker, "compose"}
		}
	}
	if old, err := exec.LookPath("docker-compose"); err == nil {
		return []string{old}
	}
	return nil
}
