package prometheus

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/grafana/regexp"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	api "github.com/prometheus/prometheus/web/api/v1"
)

// Limits of the API. Those of remote read are Prometheus' own.
const (
	remoteReadSamples = 50_000_000
	remoteReadAtOnce  = 10
	remoteReadFrame   = 1 << 20
	maxRequestBody    = 32 << 20
)

// noOrigin matches no origin: this package lets no page of another origin read an answer. The embedding program
// can do so in front of Handler.
var noOrigin = regexp.MustCompile(`^\b$`)

// buildAPI returns Prometheus' HTTP API over the parts of a server.
func (s *server) buildAPI(registry *client.Registry) http.Handler {
	p := s.p
	host := p.options.Addr
	built := api.NewAPI(s.engine, s.storage, nil, s.db,
		func(context.Context) api.ScrapePoolsRetriever { return s.scraper },
		func(context.Context) api.TargetRetriever { return s.scraper },
		func(context.Context) api.AlertmanagerRetriever { return noAlertmanagers{} },
		func() config.Config { return *p.config.Load() },
		p.flags(),
		api.GlobalURLOptions{ListenAddress: host, Host: host, Scheme: "http"},
		p.whenReady,
		admin{s.db, p}, p.options.Dir,
		false,    // deleting series, snapshots
		false, 0, // the experimental search
		p.log.With("component", "api"),
		func(context.Context) api.RulesRetriever { return s.rules },
		remoteReadSamples, remoteReadAtOnce, remoteReadFrame,
		false, // a server, not an agent
		noOrigin,
		p.runtimeInfo, version(),
		p.notes.Get, p.notes.Sub,
		client.GathererFunc(p.gather), registry,
		nil,        // the engine's own statistics
		false, nil, // remote write; see buildReceiver
		false, false, false, // metrics by OTLP; likewise
		lookback,
		false, false, // type and unit as labels, metadata in the log
		nil, s.features,
		api.OpenAPIOptions{IncludePaths: []string{"/none"}, ExternalURL: "http://" + host}, // see describe
		promQL,
		false, queryTimeout, // the experimental query cost
	)
	router := route.New().WithInstrumentation(p.own.instrument)
	built.Register(router)
	mux := http.NewServeMux()
	mux.Handle("/", router)
	mux.Handle("GET /openapi.yaml", describe(host))
	return http.StripPrefix("/api/v1", mux)
}

// describe serves the API's description. It makes the description at the first request, because this takes more
// memory than all other work at the start.
func describe(host string) http.HandlerFunc {
	made := sync.OnceValue(func() *api.OpenAPIBuilder {
		return api.NewOpenAPIBuilder(api.OpenAPIOptions{ExternalURL: "http://" + host, Version: version().Version}, discard)
	})
	return func(w http.ResponseWriter, r *http.Request) { made().ServeOpenAPI(w, r) }
}

type noAlertmanagers struct{}

func (noAlertmanagers) Alertmanagers() []*url.URL        { return nil }
func (noAlertmanagers) DroppedAlertmanagers() []*url.URL { return nil }

// flags returns the flags with which Prometheus' own program would behave like this.
func (p *Prometheus) flags() map[string]string {
	retention := p.config.Load().StorageConfig.TSDBConfig.Retention
	return map[string]string{
		"config.file":                            p.options.ConfigFile,
		"enable-feature":                         "exemplar-storage",
		"query.lookback-delta":                   lookback.String(),
		"query.max-concurrency":                  strconv.Itoa(maxQueries),
		"query.max-samples":                      strconv.Itoa(maxSamples),
		"query.timeout":                          queryTimeout.String(),
		"storage.tsdb.path":                      p.options.Dir,
		"storage.tsdb.retention.size":            retention.Size.String(),
		"storage.tsdb.retention.time":            retention.Time.String(),
		"web.enable-admin-api":                   "false",
		"web.enable-lifecycle":                   strconv.FormatBool(p.options.Lifecycle),
		"web.enable-remote-write-receiver":       strconv.FormatBool(p.options.Receiver),
		"web.enable-otlp-receiver":               strconv.FormatBool(p.options.Receiver),
		"web.listen-address":                     p.options.Addr,
		"storage.remote.flush-deadline":          flushRemote.String(),
		"storage.remote.read-sample-limit":       strconv.Itoa(remoteReadSamples),
		"storage.remote.read-max-bytes-in-frame": strconv.Itoa(remoteReadFrame),
	}
}

func (p *Prometheus) runtimeInfo() (api.RuntimeInfo, error) {
	info := api.RuntimeInfo{
		StartTime: p.birth, ServerTime: time.Now().UTC(),
		GoroutineCount: runtime.NumGoroutine(), GOMAXPROCS: runtime.GOMAXPROCS(0), GOMEMLIMIT: debug.SetMemoryLimit(-1),
		GOGC: os.Getenv("GOGC"), GODEBUG: os.Getenv("GODEBUG"), StorageRetention: retentionText(p.config.Load()),
	}
	info.ReloadConfigSuccess, info.LastConfigTime = p.own.lastLoad()
	info.CorruptionCount = p.corruptions()
	var err error
	if info.CWD, err = os.Getwd(); err != nil {
		return info, fmt.Errorf("find the working directory: %w", err)
	}
	if info.Hostname, err = os.Hostname(); err != nil {
		return info, fmt.Errorf("find the host's name: %w", err)
	}
	return info, nil
}

// corruptions is the number of times that the storage found its log damaged.
func (p *Prometheus) corruptions() int64 {
	families, _ := p.registry.Load().Gather() // an error concerns other families
	for _, f := range families {
		if f.GetName() == "prometheus_tsdb_wal_corruptions_total" {
			return int64(f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	return 0
}

const modulePath = "github.com/prometheus/prometheus"

// version is the version of Prometheus' packages in the numbering of its program: module v0.316.0 is Prometheus
// 3.16.0. Clients choose features by it.
func version() *api.PrometheusVersion {
	v := &api.PrometheusVersion{GoVersion: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	for _, dep := range info.Deps {
		if dep.Path == modulePath {
			v.Version = programVersion(dep.Version)
		}
	}
	return v
}

func programVersion(module string) string {
	parts := strings.SplitN(strings.TrimPrefix(module, "v"), ".", 3)
	if len(parts) < 3 || parts[0] != "0" {
		return strings.TrimPrefix(module, "v")
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil || n < 100 {
		return strings.TrimPrefix(module, "v")
	}
	return fmt.Sprintf("%d.%d.%s", n/100, n%100, parts[2])
}
