package program

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"etude/conf"
	"etude/metrics/prometheus"
	"etude/page"
	"etude/telemetry"
)

// metricsFlags say what the embedded Prometheus keeps and whom it asks.
type metricsFlags struct {
	Off         bool              `name:"metrics.off" env:"ETUDE_METRICS_OFF" help:"Run without the embedded Prometheus; its port serves the backend's own metrics instead."`
	Config      string            `name:"metrics.config" env:"ETUDE_METRICS_CONFIG" placeholder:"FILE" help:"Configuration in Prometheus' form: scrapes, rules, remote write; read again on SIGHUP (default: conf/prometheus.yaml, built in)."`
	Host        map[string]string `name:"metrics.host" env:"ETUDE_METRICS_HOST" placeholder:"NAME:PORT=ADDR" help:"Where a target of the configuration really listens; tempo:3200, localhost:9090 and, in up, traefik:8080 are known."`
	Retention   time.Duration     `name:"metrics.retention" env:"ETUDE_METRICS_RETENTION" default:"24h" help:"Drop metrics older than this; 0 keeps them."`
	MaxDisk     bytesFlag         `name:"metrics.max-disk" env:"ETUDE_METRICS_MAX_DISK" default:"512MiB" help:"Drop the oldest metrics when they take more than this on disk; 0 lifts the limit."`
	RemoteWrite []string          `name:"metrics.remote-write" env:"ETUDE_METRICS_REMOTE_WRITE" secret:"" placeholder:"URL" help:"Send metrics, with exemplars, to this Prometheus as well (http://USER:PASSWORD@HOST:9090/api/v1/write); may be repeated."`
	Lifecycle   bool              `name:"metrics.lifecycle" env:"ETUDE_METRICS_LIFECYCLE" help:"Let POST /-/reload on Prometheus' port read the configuration again."`
	Pprof       bool              `name:"pprof" env:"ETUDE_PPROF" help:"Serve Go's profiles below /debug/pprof/ on Prometheus' port. They never show the command line."`
}

// addHost names where a target listens, unless the user has said so already.
func (f *metricsFlags) addHost(name, addr string) {
	if _, given := f.Host[name]; given {
		return
	}
	if f.Host == nil {
		f.Host = map[string]string{}
	}
	f.Host[name] = addr
}

// openPrometheus starts Prometheus, whose handler is to be served at addr. Its
// storage opens in the background.
func (b *backendRun) openPrometheus(dir string, api, addr net.Addr) error {
	f := &b.cmd.Metrics
	hosts := map[string]string{"tempo:3200": dialAddr(api.String()), "localhost:9090": dialAddr(addr.String())}
	maps.Copy(hosts, f.Host)
	var err error
	b.prometheus, err = prometheus.Open(prometheus.Options{
		Dir: filepath.Join(dir, "prometheus"), Config: conf.Prometheus, ConfigFile: f.Config, Hosts: hosts,
		RemoteWrite: f.RemoteWrite, Retention: f.Retention, MaxDisk: int64(f.MaxDisk),
		Addr: strings.TrimPrefix(browserURL(addr.String()), "http://"), Lifecycle: f.Lifecycle,
		UI: page.PrometheusUI(b.cmd.pageInfo()), Logger: b.log,
	})
	if err == nil && f.Config != "" {
		b.reloadOnHangup()
	}
	return err
}

// reloadOnHangup reads the configuration again on SIGHUP, the way of daemons.
// Without a file of its own the backend ends on it, like any program whose
// terminal goes away.
func (b *backendRun) reloadOnHangup() {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for range hangups {
			if err := b.prometheus.Reload(); err != nil {
				b.log.Error("the configuration of metrics stays as it was", "err", err)
			}
		}
	}()
}

// portName is what listens on Prometheus' port.
func (f *metricsFlags) portName() string {
	if f.Off {
		return "own metrics"
	}
	return "Prometheus"
}

// promQL is what the page asks for metrics; nil without Prometheus.
func (b *backendRun) promQL() http.Handler {
	if b.prometheus == nil {
		return nil
	}
	return b.prometheus.Handler()
}

// metricsHandler answers on Prometheus' port: Prometheus, or without it the
// backend's own metrics, and Go's profiles.
func (b *backendRun) metricsHandler() http.Handler {
	h := b.promQL()
	if h == nil {
		h = b.telemetry.Handler()
	}
	profiles := telemetry.NoProfiles()
	if b.cmd.Metrics.Pprof {
		profiles = telemetry.Profiles()
	}
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.Handle("/debug/pprof/", profiles)
	return mux
}

func (f *metricsFlags) check() error {
	if f.Retention < 0 {
		return fmt.Errorf("--metrics.retention %s: want 0 or more", f.Retention)
	}
	for name, addr := range f.Host {
		if _, _, err := net.SplitHostPort(name); err != nil {
			return fmt.Errorf("--metrics.host %s=%s: want NAME:PORT=HOST:PORT: %w", name, addr, err)
		}
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("--metrics.host %s=%s: want NAME:PORT=HOST:PORT: %w", name, addr, err)
		}
	}
	if f.Off && (f.Config != "" || len(f.RemoteWrite) > 0) {
		return errors.New("--metrics.off leaves nothing that --metrics.config or --metrics.remote-write could be for")
	}
	return nil
}
