package prometheus

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestConfigurationErrors(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"no YAML", "global:\n  scrape_interval: [", "line 2"},
		{"unknown field", "global: {}\nscrape_config: []\n", "line 2: field scrape_config not found"},
		{"bad duration", "global:\n  evaluation_interval: 1m\n  scrape_interval: 5 parsecs\n", "FILE, line 3: unknown unit"},
		{"job named twice", "scrape_configs:\n- job_name: a\n- job_name: b\n- job_name: a\n", `FILE, line 4: found multiple scrape configs with job name "a"`},
		{"timeout above interval", "scrape_configs:\n- job_name: a\n- job_name: b\n  scrape_timeout: 2h\n", "FILE, line 4: scrape timeout greater than scrape interval"},
		{"discovery that is not built in", "scrape_configs:\n- job_name: a\n  consul_sd_configs: []\n", "line 3: field consul_sd_configs not found"},
		{"rules", "rule_files: [rules.yaml]\n", `rules.yaml: 4:11: group "g", rule 1, "r"`},
		{"remote write", "remote_write:\n- url: http://a/\n- remote_timeout: 1s\n", "FILE, line 3: url for remote_write is empty"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "metrics.yaml")
			write(t, file, test.text)
			write(t, filepath.Join(dir, "rules.yaml"), "groups:\n- name: g\n  rules:\n  - expr: sum(\n    record: r\n")
			_, err := Open(Options{Dir: t.TempDir(), ConfigFile: file})
			want := strings.ReplaceAll(test.want, "FILE", file)
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
	if _, err := Open(Options{Dir: t.TempDir(), ConfigFile: "/nonexistent.yaml"}); err == nil || !strings.Contains(err.Error(), "/nonexistent.yaml") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestRemoteWriteURLs(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"prometheus:9090":            "want http:// or https://",
		"http://":                    "want http:// or https://",
		"http://u:secret@h:port/":    "invalid port",
		"ftp://u:secret@h/":          "want http:// or https://",
		"http://a/ http://u@b/":      "", // a path with a space is a URL
		"http://u:secret@h/%zz":      "invalid URL escape",
		"http://h:9090/api/v1/write": "",
	} {
		end, err := remoteEnd(url)
		switch {
		case want == "" && (err != nil || !end.SendExemplars):
			t.Errorf("%s: %v", url, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret")):
			t.Errorf("%s: %v, want %s", url, err, want)
		}
	}
	_, err := Open(Options{Dir: t.TempDir(), RemoteWrite: []string{"http://u:secret@h/w", "http://h/w"}})
	if err == nil || !strings.Contains(err.Error(), "http://h/w is set twice") {
		t.Errorf("twice the same: %v", err)
	}
}

func TestReloadKeepsTheFormerOnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, ruleFile := filepath.Join(dir, "metrics.yaml"), filepath.Join(dir, "rules.yaml")
	write(t, file, "global: {external_labels: {place: one}}\n")
	in := run(t, Options{ConfigFile: file, Lifecycle: true})
	reload := func() (int, string) {
		resp, err := visitor.Post(in.url+"/-/reload", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	inForce := func() string {
		c, err := in.client().Config(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return c.YAML
	}
	write(t, file, "global: {external_labels: {place: two}}\nnonsense: 1\n")
	if status, body := reload(); status != 500 || !strings.Contains(body, "line 2") {
		t.Errorf("a wrong configuration: %d %s", status, body)
	}
	if info, err := in.client().Runtimeinfo(context.Background()); err != nil || info.ReloadConfigSuccess || !strings.Contains(inForce(), "place: one") {
		t.Errorf("after a wrong configuration: %v %v %s", info.ReloadConfigSuccess, err, inForce())
	}
	write(t, file, "global: {external_labels: {place: three}, evaluation_interval: 100ms}\nrule_files: [rules.yaml]\n")
	write(t, ruleFile, "groups:\n- name: g\n  rules:\n  - record: seven\n    expr: vector(7)\n  - alert: Always\n    expr: vector(1)\n")
	if status, body := reload(); status != 200 {
		t.Errorf("a right configuration: %d %s", status, body)
	}
	if got := inForce(); !strings.Contains(got, "place: three") {
		t.Error(got)
	}
	eventually(t, "the rules are evaluated", func() string {
		alerts, err := in.client().Alerts(context.Background())
		if got := in.ask(`seven`); err != nil || len(alerts.Alerts) != 1 || !strings.HasPrefix(got, "seven => 7 @") {
			return got
		}
		return ""
	})
}

func TestConfigurationLimits(t *testing.T) {
	t.Parallel()
	in := run(t, Options{Retention: time.Hour, MaxDisk: 1 << 30})
	if got := retentionText(in.config.Load()); got != "1h or 1GiB" {
		t.Errorf("by the options: %s", got)
	}
	in = run(t, Options{Retention: time.Hour, Config: []byte("storage: {tsdb: {retention: {time: 2h}}, exemplars: {max_exemplars: 5}}\nalerting: {alertmanagers: [{static_configs: [{targets: [a]}]}]}\n")})
	if got := retentionText(in.config.Load()); got != "2h" {
		t.Errorf("by the configuration: %s", got)
	}
	if !strings.Contains(in.logs.String(), "does not send them") {
		t.Errorf("it does not tell that alerts go nowhere: %s", in.logs)
	}
}

func FuzzCulprit(f *testing.F) {
	for _, seed := range []string{"", "a", "global: {scrape_interval: x}", "scrape_configs: [{job_name: a}, {job_name: a}]", "a: &x [1]\nb: *x\n", "? [a]\n: b\n", "- - - {}", "<<: 1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		line := culprit([]byte(text))
		if lines := strings.Count(text, "\n") + strings.Count(text, "\r") + strings.Count(text, "\u0085") + strings.Count(text, "\u2028") + strings.Count(text, "\u2029") + 1; line < 0 || line > lines {
			t.Errorf("line %d of %d", line, lines)
		}
	})
}

func FuzzRemoteEnd(f *testing.F) {
	f.Add("http://user:secret@host:9090/api/v1/write")
	f.Add("http://[::1]/%")
	f.Fuzz(func(t *testing.T, text string) {
		end, err := remoteEnd(text)
		if err == nil && (end.URL.User != nil || end.URL.Host == "") {
			t.Errorf("%q became %v", text, end.URL)
		}
	})
}

func TestProgramVersion(t *testing.T) {
	t.Parallel()
	for module, want := range map[string]string{"v0.316.0": "3.16.0", "v0.301.2": "3.1.2", "v1.8.2": "1.8.2", "v0.50.1": "0.50.1", "(devel)": "(devel)", "": ""} {
		if got := programVersion(module); got != want {
			t.Errorf("programVersion(%q) = %q, want %q", module, got, want)
		}
	}
}
