package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is what the tests look at of Grafana's dashboard JSON.
type dashboard struct {
	UID           string   `json:"uid"`
	Title         string   `json:"title"`
	Description   string   `json:"description"`
	Tags          []string `json:"tags"`
	SchemaVersion int      `json:"schemaVersion"`
	Panels        []panel  `json:"panels"`
	Templating    struct {
		List []templateVariable `json:"list"`
	} `json:"templating"`
}

type templateVariable struct {
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Definition string         `json:"definition"`
	Datasource datasourceLink `json:"datasource"`
}

type datasourceLink struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

type panel struct {
	ID          int            `json:"id"`
	Type        string         `json:"type"`
	Title       string         `json:"title"`
	Description string         `json:"description"`
	Datasource  datasourceLink `json:"datasource"`
	GridPos     struct{ X, Y, W, H int }
	Targets     []panelTarget `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	Options struct {
		YAxis struct {
			Unit string `json:"unit"`
		} `json:"yAxis"`
	} `json:"options"`
}

type panelTarget struct {
	RefID      string         `json:"refId"`
	Datasource datasourceLink `json:"datasource"`
	Expr       string         `json:"expr"`
	QueryType  string         `json:"queryType"`
	Format     string         `json:"format"`
	Legend     string         `json:"legendFormat"`
	Instant    bool           `json:"instant"`
	Exemplar   bool           `json:"exemplar"`
}

// readDashboards returns all dashboards by their path below conf/grafana/dashboards.
func readDashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	root := filepath.Join(repository, "conf", "grafana", "dashboards")
	boards := map[string]dashboard{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, _ := filepath.Rel(root, path)
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var d dashboard
		if err := json.Unmarshal(text, &d); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if !bytes.HasSuffix(text, []byte("}\n")) {
			t.Errorf("%s does not end in one line break", name)
		}
		boards[filepath.ToSlash(name)] = d
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return boards
}

// TestDashboardsAreWellFormed: what Grafana would refuse, or show as a mess.
func TestDashboardsAreWellFormed(t *testing.T) {
	t.Parallel()
	uids := map[string]string{}
	boards := readDashboards(t)
	for _, name := range []string{"demo/services.json", "demo/edge.json", "tempo/tempo.json", "etude/backend.json"} {
		if _, ok := boards[name]; !ok {
			t.Errorf("there is no dashboard %s", name)
		}
	}
	for name, d := range boards {
		if d.UID == "" || d.Title == "" || d.Description == "" || d.SchemaVersion != 41 || !slices.Equal(d.Tags, []string{"etude"}) {
			t.Errorf("%s: uid %q, title %q, description %q, schemaVersion %d, tags %q", name, d.UID, d.Title, d.Description, d.SchemaVersion, d.Tags)
		}
		if other := uids[d.UID]; other != "" {
			t.Errorf("%s and %s have the uid %s", name, other, d.UID)
		}
		uids[d.UID] = name
		checkLayout(t, name, d.Panels)
		ids, titles := map[int]bool{}, map[string]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] || p.ID <= 0 || titles[p.Title+p.Type] {
				t.Errorf("%s: two panels have the id %d or the title %q", name, p.ID, p.Title)
			}
			ids[p.ID], titles[p.Title+p.Type] = true, true
			checkPanel(t, name, p)
		}
	}
}

// checkLayout: 24 columns, no panel upon another.
func checkLayout(t *testing.T, name string, panels []panel) {
	t.Helper()
	for i, p := range panels {
		g := p.GridPos
		if g.X < 0 || g.Y < 0 || g.W <= 0 || g.H <= 0 || g.X+g.W > 24 {
			t.Errorf("%s: %s lies at %+v", name, p.Title, g)
		}
		for _, other := range panels[:i] {
			o := other.GridPos
			if g.X < o.X+o.W && o.X < g.X+g.W && g.Y < o.Y+o.H && o.Y < g.Y+g.H {
				t.Errorf("%s: %s lies upon %s", name, p.Title, other.Title)
			}
		}
	}
}

// units are those of the dashboards: one for each kind of quantity.
var units = []string{"reqps", "cps", "s", "percentunit", "bytes", "Bps", "short"}

func checkPanel(t *testing.T, name string, p panel) {
	t.Helper()
	if p.Type == "row" {
		if p.GridPos.W != 24 || p.GridPos.H != 1 {
			t.Errorf("%s: row %s is %+v", name, p.Title, p.GridPos)
		}
		return
	}
	if !slices.Contains([]string{"timeseries", "stat", "heatmap", "table", "nodeGraph"}, p.Type) {
		t.Errorf("%s: %s is a panel of type %q", name, p.Title, p.Type)
	}
	if p.Title == "" || p.Description == "" || strings.HasSuffix(p.Title, ".") || !strings.HasSuffix(p.Description, ".") {
		t.Errorf("%s: title %q, description %q: want a title, and a description in sentences", name, p.Title, p.Description)
	}
	unit := p.FieldConfig.Defaults.Unit
	if p.Type == "heatmap" {
		unit = p.Options.YAxis.Unit
	}
	if p.Type != "nodeGraph" && !slices.Contains(units, unit) {
		t.Errorf("%s: %s has the unit %q, want one of %q", name, p.Title, unit, units)
	}
	refs := map[string]bool{}
	for _, target := range p.Targets {
		if refs[target.RefID] || target.RefID == "" || target.Datasource != p.Datasource {
			t.Errorf("%s: %s: target %q of %v", name, p.Title, target.RefID, target.Datasource)
		}
		refs[target.RefID] = true
		checkTarget(t, name, p, target)
	}
	if len(p.Targets) == 0 {
		t.Errorf("%s: %s asks nothing", name, p.Title)
	}
}

func checkTarget(t *testing.T, name string, p panel, target panelTarget) {
	t.Helper()
	switch target.Datasource {
	case datasourceLink{"prometheus", "prometheus"}:
		if target.Expr == "" {
			t.Errorf("%s: %s asks nothing", name, p.Title)
		}
	case datasourceLink{"tempo", "tempo"}:
		if target.QueryType != "serviceMap" {
			t.Errorf("%s: %s asks Tempo for %q", name, p.Title, target.QueryType)
		}
	default:
		t.Errorf("%s: %s asks %v, which is not provisioned", name, p.Title, target.Datasource)
	}
	if p.Type == "table" != target.Instant {
		t.Errorf("%s: %s is a %s, instant is %v", name, p.Title, p.Type, target.Instant)
	}
	if want := map[string]string{"table": "table", "heatmap": "heatmap"}[p.Type]; target.Format != want {
		t.Errorf("%s: %s has the format %q, want %q", name, p.Title, target.Format, want)
	}
	if p.Type == "timeseries" && target.Legend == "" {
		t.Errorf("%s: %s has no legend", name, p.Title)
	}
}

// TestDashboardsLeadToTraces: the durations of spans carry exemplars, and those of queries do when
// etude traces itself.
func TestDashboardsLeadToTraces(t *testing.T) {
	t.Parallel()
	with := 0
	for name, d := range readDashboards(t) {
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				want := traced.MatchString(target.Expr) && (p.Type == "timeseries" || p.Type == "heatmap")
				if want != target.Exemplar {
					t.Errorf("%s: %s: exemplars %v, want %v", name, p.Title, target.Exemplar, want)
				}
				if target.Exemplar {
					with++
				}
			}
		}
	}
	if with < 5 {
		t.Errorf("only %d queries have exemplars", with)
	}
}

// traced finds the metrics that have exemplars.
var traced = regexp.MustCompile(`\b(traces_spanmetrics_latency|etude_query_duration_seconds)\b`)

// TestDashboardsAreMounted: in the stack that has what they show.
func TestDashboardsAreMounted(t *testing.T) {
	t.Parallel()
	var provider struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name           string `yaml:"name"`
			Folder         string `yaml:"folder"`
			Type           string `yaml:"type"`
			NoDeletion     bool   `yaml:"disableDeletion"`
			AllowUIUpdates bool   `yaml:"allowUiUpdates"`
			Interval       int    `yaml:"updateIntervalSeconds"`
			Options        struct {
				Path    string `yaml:"path"`
				Folders bool   `yaml:"foldersFromFilesStructure"`
			} `yaml:"options"`
		} `yaml:"providers"`
	}
	decodeStrict(t, "conf/grafana/provisioning/dashboards/dashboards.yaml", &provider)
	if provider.APIVersion != 1 || len(provider.Providers) != 1 || provider.Providers[0].Type != "file" {
		t.Fatalf("provider %+v", provider)
	}
	path := provider.Providers[0].Options.Path
	for file, folders := range map[string][]string{"compose.yaml": {"demo", "tempo"}, "compose.etude.yaml": {"demo", "etude"}} {
		mounts := readCompose(t, file).Services["grafana"].Volumes
		want := []string{
			"./conf/grafana/provisioning/datasources:/etc/grafana/provisioning/datasources:ro",
			"./conf/grafana/provisioning/dashboards:/etc/grafana/provisioning/dashboards:ro",
		}
		for _, folder := range folders {
			want = append(want, "./conf/grafana/dashboards/"+folder+":"+path+"/"+folder+":ro")
		}
		if got := mounts[:len(mounts)-1]; !slices.Equal(got, want) { // the last is Grafana's own data
			t.Errorf("%s mounts\n%q, want\n%q", file, got, want)
		}
	}
}

// TestGrafanaFindsEtude: in compose.etude.yaml the names that the files in conf/ use lead to etude.
func TestGrafanaFindsEtude(t *testing.T) {
	t.Parallel()
	services := readCompose(t, "compose.etude.yaml").Services
	for service, want := range map[string][]string{"backend": {"tempo", "prometheus"}, "edge": {"traefik"}} {
		if got := services[service].Networks["default"].Aliases; !slices.Equal(got, want) {
			t.Errorf("%s is also called %q, want %q", service, got, want)
		}
	}
	if got := services["grafana"].Profiles; !slices.Equal(got, []string{"grafana"}) {
		t.Errorf("grafana has the profiles %q: it must start only when asked for", got)
	}
}
