package prometheus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	config_util "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/features"
	"github.com/prometheus/prometheus/util/logging"
)

var (
	promQL  = parser.NewParser(parser.Options{})
	discard = slog.New(slog.DiscardHandler)
)

const (
	lookback     = 5 * time.Minute
	queryTimeout = 2 * time.Minute
	maxSamples   = 5_000_000 // in memory for one query: about 80 MB
	maxQueries   = 8         // at the same time
	flushRemote  = 4 * time.Second

	// catchUpRemote is the time before flushRemote when a Prometheus is closed.
	catchUpRemote = 2 * time.Second

	dialTimeout = 10 * time.Second
)

// server has the parts that need an open storage.
type server struct {
	p        *Prometheus
	db       *tsdb.DB
	remote   *remote.Storage
	storage  storage.Storage // db and remote: every sample goes to both
	engine   *promql.Engine
	rules    *rules.Manager
	scraper  *scrape.Manager
	found    *discovery.Manager
	features features.Collector
	interval atomic.Int64 // of rules, in milliseconds; the default step of a subquery
	api      http.Handler
	receiver http.Handler
	outside  *outside
	letters  chan struct{} // requests from outside in memory
	arriving arriving      // bodies of such requests
	relay    *relay        // nil when the options name no remote end

	stopDiscovery context.CancelFunc
	running       sync.WaitGroup // the goroutines of rules, discovery and scraper
}

// startServer opens the storage, applies the configuration, and then starts everything that fills the storage.
func (p *Prometheus) startServer() (*server, error) {
	p.applying.Lock()
	defer p.applying.Unlock()
	cfg := p.config.Load()
	db, err := p.openStorage(cfg)
	if err != nil {
		return nil, err
	}
	s := &server{p: p, db: db, features: features.NewRegistry()}
	if err := s.build(cfg); err != nil {
		return nil, errors.Join(err, s.closeStorage())
	}
	if err := s.apply(cfg); err != nil {
		s.stopDiscovery()
		return nil, errors.Join(err, s.closeStorage())
	}
	s.running.Go(func() { _ = s.found.Run() })
	s.running.Go(func() { _ = s.scraper.Run(s.found.SyncCh()) })
	s.running.Go(s.rules.Run)
	p.own.loaded(nil)
	return s, nil
}

func (s *server) build(cfg *config.Config) error {
	p, registry := s.p, s.p.registry.Load()
	var err error
	if s.relay, err = startRelay(cfg.RemoteWriteConfigs[len(cfg.RemoteWriteConfigs)-len(p.options.RemoteWrite):], p.own.relay, p.log); err != nil {
		return err
	}
	s.remote = remote.NewStorage(p.log.With("component", "remote"), registry, s.db.StartTime, p.options.Dir, flushRemote, s, false)
	s.storage = storage.NewFanout(p.log, s.db, s.remote)
	s.db.SetWriteNotified(s.remote)
	s.engine = promql.NewEngine(promql.EngineOpts{
		Logger: p.log.With("component", "query engine"), Reg: registry,
		MaxSamples: maxSamples, Timeout: queryTimeout, ActiveQueryTracker: make(queryGate, maxQueries), LookbackDelta: lookback,
		NoStepSubqueryIntervalFn: func(int64) int64 { return s.interval.Load() },
		EnableAtModifier:         true, EnableNegativeOffset: true, Parser: promQL, FeatureRegistry: s.features,
	})
	s.buildRules(cfg, registry)
	if err := s.buildScraper(registry); err != nil {
		return err
	}
	s.outside = newOutside(s.storage, p.options.MaxReceivedSeries, p.oldestSample, p.own.outside, p.log)
	s.letters = make(chan struct{}, lettersAtOnce)
	s.receiver = s.buildReceiver(registry)
	s.api = s.buildAPI(registry)
	return nil
}

// oldestSample is the maximum age of a sample from outside: the age up to which the storage accepts it in
// order, or more if the configuration says so.
func (p *Prometheus) oldestSample() time.Duration {
	return max(oldest, time.Duration(p.config.Load().StorageConfig.TSDBConfig.OutOfOrderTimeWindow)*time.Millisecond)
}

func (s *server) buildRules(cfg *config.Config, registry client.Registerer) {
	s.rules = rules.NewManager(&rules.ManagerOptions{
		NameValidationScheme: cfg.GlobalConfig.MetricNameValidationScheme,
		AppendableV2:         s.storage, Queryable: s.db, QueryFunc: rules.EngineQueryFunc(s.engine, s.storage),
		NotifyFunc:  func(context.Context, string, ...*rules.Alert) {},
		ExternalURL: &url.URL{Scheme: "http", Host: s.p.options.Addr},
		Registerer:  registry, Logger: s.p.log.With("component", "rule manager"),
		OutageTolerance: time.Hour, ForGracePeriod: 10 * time.Minute, ResendDelay: time.Minute,
		DefaultRuleQueryOffset: func() time.Duration { return time.Duration(s.p.config.Load().GlobalConfig.RuleQueryOffset) },
		FeatureRegistry:        s.features, Parser: promQL,
	})
}

func (s *server) buildScraper(registry client.Registerer) error {
	log := s.p.log
	sdMetrics, err := discovery.CreateAndRegisterSDMetrics(registry)
	if err != nil {
		return fmt.Errorf("register metrics of discovery: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stopDiscovery = cancel
	dial := config_util.WithDialContextFunc(s.dial)
	s.found = discovery.NewManager(ctx, log.With("component", "discovery"), registry, sdMetrics, discovery.Name("scrape"),
		discovery.FeatureRegistry(s.features), discovery.HTTPClientOptions(dial))
	if s.found == nil {
		cancel()
		return errors.New("start discovery: its metrics cannot be registered")
	}
	s.scraper, err = scrape.NewManager(&scrape.Options{DiscoveryReloadOnStartup: true, HTTPClientOptions: []config_util.HTTPClientOption{dial},
		FeatureRegistry: s.features}, log.With("component", "scrape"), logging.NewJSONFileLogger, nil, s.storage, registry)
	if err != nil {
		cancel()
		return fmt.Errorf("start the scraper: %w", err)
	}
	return nil
}

// Get returns the scraper, whose metadata the remote storage sends.
func (s *server) Get() (*scrape.Manager, error) {
	if s.scraper == nil {
		return nil, tsdb.ErrNotReady
	}
	return s.scraper, nil
}

// dial connects to a target.
func (s *server) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if conn, inside, err := s.p.hosts.dial(ctx, addr); inside {
		return conn, err
	}
	d := net.Dialer{Timeout: dialTimeout}
	return d.DialContext(ctx, network, addr)
}

// apply applies a configuration in the order of dependencies: the scraper must know a job before its targets
// are found.
func (s *server) apply(cfg *config.Config) error {
	for _, step := range []struct {
		part  string
		apply func(*config.Config) error
	}{
		{"storage", s.db.ApplyConfig},
		{"remote storage", func(cfg *config.Config) error { return s.remote.ApplyConfig(s.relay.through(cfg)) }},
		{"query log", s.applyQueryLog},
		{"scraper", s.scraper.ApplyConfig},
		{"discovery", s.applyDiscovery},
		{"rules", s.applyRules},
	} {
		if err := step.apply(cfg); err != nil {
			return fmt.Errorf("apply the configuration of metrics to the %s: %w", step.part, err)
		}
	}
	return nil
}

func (s *server) applyQueryLog(cfg *config.Config) error {
	if cfg.GlobalConfig.QueryLogFile == "" {
		s.engine.SetQueryLogger(nil)
		return nil
	}
	l, err := logging.NewJSONFileLogger(cfg.GlobalConfig.QueryLogFile)
	if err != nil {
		return err
	}
	s.engine.SetQueryLogger(l)
	return nil
}

func (s *server) applyDiscovery(cfg *config.Config) error {
	jobs, err := cfg.GetScrapeConfigs()
	if err != nil {
		return err
	}
	found := map[string]discovery.Configs{}
	for _, job := range jobs {
		found[job.JobName] = job.ServiceDiscoveryConfigs
	}
	return s.found.ApplyConfig(found)
}

func (s *server) applyRules(cfg *config.Config) error {
	s.interval.Store(time.Duration(cfg.GlobalConfig.EvaluationInterval).Milliseconds())
	var files []string
	for _, pattern := range cfg.RuleFiles {
		names, err := filepath.Glob(pattern)
		if err != nil {
			return fmt.Errorf("find rule files %s: %w", pattern, err)
		}
		files = append(files, names...)
	}
	return s.rules.Update(time.Duration(cfg.GlobalConfig.EvaluationInterval), files, cfg.GlobalConfig.ExternalLabels, "http://"+s.p.options.Addr, nil)
}

// close stops the writers first and the storage last.
func (s *server) close() error {
	s.stopDiscovery()
	s.rules.Stop()
	s.scraper.Stop()
	s.running.Wait()
	s.catchUp()
	return s.closeStorage()
}

// lastSeries is the last series that the remote ends receive: the time when this Prometheus was closed, in unix
// seconds.
const lastSeries = "etude_metrics_stopped_timestamp_seconds"

// catchUp waits until the queues to the remote ends have read the newest sample, for at most catchUpRemote: a
// stopped queue sends the samples that it has, and does not read the log further. A queue reports its progress
// only in whole seconds, so catchUp appends a last sample in a second of its own. If a queue filters out this
// sample, catchUp waits for the whole time.
func (s *server) catchUp() {
	if len(s.p.config.Load().RemoteWriteConfigs) == 0 {
		return
	}
	now := time.Now()
	second := max(now.UnixMilli(), s.db.Head().MaxTime())/1000 + 1
	app := s.db.Appender(context.Background())
	_, err := app.Append(0, labels.FromStrings(model.MetricNameLabel, lastSeries), second*1000, float64(now.UnixMilli())/1000)
	if err != nil {
		err = errors.Join(err, app.Rollback())
	} else {
		err = app.Commit()
	}
	if err != nil {
		s.p.log.Warn("the newest samples may not have been sent", "err", err)
		return
	}
	for deadline := now.Add(catchUpRemote); s.queued() < second && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
}

// queued returns the second up to which all queues have read.
func (s *server) queued() int64 {
	families, err := s.p.registry.Load().Gather()
	if err != nil {
		return 0
	}
	least := int64(math.MaxInt64)
	for _, f := range families {
		if f.GetName() == "prometheus_remote_storage_queue_highest_timestamp_seconds" {
			for _, m := range f.Metric {
				least = min(least, int64(m.GetGauge().GetValue()))
			}
		}
	}
	return least
}

func (s *server) closeStorage() error {
	if s.storage == nil {
		return errors.Join(s.db.Close(), s.relay.close())
	}
	err := s.storage.Close()
	if err = errors.Join(err, s.relay.close()); err != nil {
		return fmt.Errorf("close the metrics: %w", err)
	}
	return nil
}

// queryGate limits the number of concurrent queries. Prometheus' own tracker does so with a memory-mapped file,
// which shows after a crash which queries ran.
type queryGate chan struct{}

func (g queryGate) GetMaxConcurrent() int { return cap(g) }

func (g queryGate) Insert(ctx context.Context, _ string) (int, error) {
	select {
	case g <- struct{}{}:
		return 0, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

func (g queryGate) Delete(int)   { <-g }
func (g queryGate) Close() error { return nil }

// retentionText formats a retention like Prometheus' status page.
func retentionText(cfg *config.Config) string {
	r := cfg.StorageConfig.TSDBConfig.Retention
	switch {
	case r.Time > 0 && r.Size > 0:
		return model.Duration(r.Time).String() + " or " + r.Size.String()
	case r.Size > 0:
		return r.Size.String()
	}
	return r.Time.String()
}
