package prometheus

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/units"
	config_util "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	_ "github.com/prometheus/prometheus/discovery/dns"  // dns_sd_configs
	_ "github.com/prometheus/prometheus/discovery/file" // file_sd_configs
	_ "github.com/prometheus/prometheus/discovery/http" // http_sd_configs
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
	"go.yaml.in/yaml/v3"
)

// maxExemplars is the number of exemplars kept in memory, about 100 bytes each, unless the configuration sets
// it.
const maxExemplars = 20_000

// load reads the configuration with all files that it names. It sets from the options every setting that the
// configuration does not have.
func (p *Prometheus) load() (*config.Config, error) {
	text, name := p.options.Config, "(built in)"
	if p.options.ConfigFile != "" {
		name = p.options.ConfigFile
		var err error
		if text, err = os.ReadFile(name); err != nil {
			return nil, fmt.Errorf("read the configuration of metrics: %w", err)
		}
	}
	cfg, err := config.Load(string(text), p.log)
	if err != nil {
		return nil, fmt.Errorf("read the configuration of metrics %s: %w", place(name, text, err), err)
	}
	if p.options.ConfigFile != "" {
		cfg.SetDirectory(filepath.Dir(name))
	}
	if err := p.checkFiles(cfg); err != nil {
		return nil, fmt.Errorf("read the files that the configuration of metrics %s names: %w", name, err)
	}
	if err := p.complete(cfg); err != nil {
		return nil, err
	}
	p.warnUnused(cfg)
	return cfg, nil
}

// checkFiles reads the scrape and rule files, so that a mistake in one is found before any is applied.
func (p *Prometheus) checkFiles(cfg *config.Config) error {
	if _, err := cfg.GetScrapeConfigs(); err != nil {
		return err
	}
	return rules.ParseFiles(cfg.RuleFiles, cfg.GlobalConfig.MetricNameValidationScheme, promQL, p.log)
}

func (p *Prometheus) complete(cfg *config.Config) error {
	if r := cfg.StorageConfig.TSDBConfig.Retention; r == nil || *r == (config.TSDBRetentionConfig{}) {
		cfg.StorageConfig.TSDBConfig.Retention = &config.TSDBRetentionConfig{
			Time: model.Duration(p.options.Retention), Size: units.Base2Bytes(p.options.MaxDisk)}
	}
	if cfg.StorageConfig.ExemplarsConfig == nil {
		cfg.StorageConfig.ExemplarsConfig = &config.ExemplarsConfig{MaxExemplars: maxExemplars}
	}
	if len(p.options.RemoteWrite) > 0 && cfg.GlobalConfig.ExternalLabels.IsEmpty() {
		cfg.GlobalConfig.ExternalLabels = labels.FromMap(p.options.SentLabels)
	}
	for _, text := range p.options.RemoteWrite {
		end, err := remoteEnd(text)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(cfg.RemoteWriteConfigs, func(c *config.RemoteWriteConfig) bool { return c.URL.String() == end.URL.String() }) {
			return fmt.Errorf("remote-write URL %s is set twice", end.URL.Redacted())
		}
		cfg.RemoteWriteConfigs = append(cfg.RemoteWriteConfigs, end)
	}
	return nil
}

// remoteEnd returns a remote-write section for a URL. It moves the URL's user and password to a field that
// Prometheus never shows.
func remoteEnd(text string) (*config.RemoteWriteConfig, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read a remote-write URL: %w", withoutURL(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("remote-write URL %s: want http:// or https:// and a host, as in http://prometheus:9090/api/v1/write", u.Redacted())
	}
	end := config.DefaultRemoteWriteConfig
	if u.User != nil {
		password, _ := u.User.Password()
		end.HTTPClientConfig.BasicAuth = &config_util.BasicAuth{Username: u.User.Username(), Password: config_util.Secret(password)}
		u.User = nil
	}
	end.URL, end.SendExemplars, end.SendNativeHistograms = &config_util.URL{URL: u}, true, true
	return &end, nil
}

// withoutURL removes the URL, which may contain a password, from an error about it.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

func (p *Prometheus) warnUnused(cfg *config.Config) {
	if len(cfg.AlertingConfig.AlertmanagerConfigs) > 0 {
		p.log.Warn("the configuration names alertmanagers: etude evaluates alerts but does not send them")
	}
	if cfg.TracingConfig.Endpoint != "" {
		p.log.Warn("the configuration has a section tracing, which etude ignores")
	}
}

// place names a file and, unless the error does so, the line of the mistake.
func place(name string, text []byte, err error) string {
	if strings.Contains(err.Error(), "line ") {
		return name
	}
	if line := culprit(text); line > 0 {
		return fmt.Sprintf("%s, line %d", name, line)
	}
	return name
}

// culprit finds the line of the smallest part without which the configuration would be valid, or 0. Prometheus
// describes an invalid value, but not its line.
func culprit(text []byte) int {
	var doc yaml.Node
	if yaml.Unmarshal(text, &doc) != nil || len(doc.Content) == 0 {
		return 0
	}
	return culpritIn(&doc, doc.Content[0])
}

// culpritIn leaves out each child of a node in turn, the last first: of two that contradict each other, it
// reports the later one.
func culpritIn(doc, n *yaml.Node) int {
	step := map[yaml.Kind]int{yaml.MappingNode: 2, yaml.SequenceNode: 1}[n.Kind] // key and value, or item
	if step == 0 {
		return 0
	}
	children := n.Content
	defer func() { n.Content = children }()
	for i := len(children) - step; i >= 0; i -= step {
		n.Content = slices.Delete(slices.Clone(children), i, i+step)
		if !loads(doc) {
			continue
		}
		n.Content = children
		return cmp.Or(culpritIn(doc, children[i+step-1]), children[i].Line)
	}
	return 0
}

func loads(doc *yaml.Node) bool {
	text, err := yaml.Marshal(doc)
	if err != nil {
		return false
	}
	_, err = config.Load(string(text), discard)
	return err == nil
}
