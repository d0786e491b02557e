package backend

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"etude/conf"
	"etude/metrics/prometheus"
	"etude/page"
	"etude/program/access"
	"etude/program/flags"
	"etude/program/listen"
	"etude/telemetry"
)

// MetricsFlags control the embedded Prometheus.
type MetricsFlags struct {
	Off         bool              `name:"metrics.off" env:"ETUDE_METRICS_OFF" help:"Run without the embedded Prometheus; its port then serves only the backend's own metrics."`
	Config      string            `name:"metrics.config" env:"ETUDE_METRICS_CONFIG" placeholder:"FILE" help:"Prometheus configuration file with scrapes, rules and remote write; reloaded on SIGHUP (default: conf/prometheus.yaml, built in)."`
	Host        map[string]string `name:"metrics.host" env:"ETUDE_METRICS_HOST" placeholder:"NAME:PORT=ADDR" help:"Real address of a scrape target in the configuration; tempo:3200, localhost:9090 and, with up, traefik:8080 are known."`
	Retention   time.Duration     `name:"metrics.retention" env:"ETUDE_METRICS_RETENTION" default:"24h" help:"Age at which metrics are dropped; 0 keeps them forever."`
	MaxDisk     flags.Bytes       `name:"metrics.max-disk" env:"ETUDE_METRICS_MAX_DISK" default:"512MiB" help:"Maximum disk space for metrics; beyond it, the oldest are dropped. 0 means no limit."`
	RemoteWrite []string          `name:"metrics.remote-write" env:"ETUDE_METRICS_REMOTE_WRITE" secret:"" placeholder:"URL" help:"URL of another Prometheus to send metrics and exemplars to (http://USER:PASSWORD@HOST:9090/api/v1/write), with the label etude=MACHINE:PORT unless the configuration has external labels; may be repeated."`
	Lifecycle   bool              `name:"metrics.lifecycle" env:"ETUDE_METRICS_LIFECYCLE" help:"Allow POST /-/reload on Prometheus' port to reload the configuration."`
	Receiver    bool              `name:"metrics.remote-write-receiver" env:"ETUDE_METRICS_REMOTE_WRITE_RECEIVER" help:"Accept metrics on Prometheus' port: remote write at /api/v1/write, OTLP at /api/v1/otlp/v1/metrics. Ports 4317 and 4318 accept OTLP metrics without this flag."`
	MaxReceived int               `name:"metrics.max-received-series" env:"ETUDE_METRICS_MAX_RECEIVED_SERIES" default:"50000" help:"Maximum number of series received by OTLP and remote write, and of new ones in an hour; a service gets at most a third. 0 means no limit."`
	Pprof       bool              `name:"pprof" env:"ETUDE_PPROF" help:"Serve Go's profiles at /debug/pprof/ on Prometheus' port. They never show the command line."`
}

// openPrometheus starts Prometheus, which opens its storage in the background. addr is the address at which the
// caller will serve Prometheus' handler.
func (b *backendRun) openPrometheus(dir string, api http.Handler, addr string) error {
	f := &b.cmd.Metrics
	hosts, err := b.scraped(api)
	if err != nil {
		return err
	}
	b.prometheus, err = prometheus.Open(prometheus.Options{
		Dir: filepath.Join(dir, "prometheus"), Config: conf.Prometheus, ConfigFile: f.Config, Hosts: hosts,
		RemoteWrite: f.RemoteWrite, SentLabels: map[string]string{"etude": senderName(addr)}, Retention: f.Retention, MaxDisk: int64(f.MaxDisk),
		Addr: strings.TrimPrefix(listen.BrowserURL("http", addr), "http://"), Lifecycle: f.Lifecycle, Receiver: f.Receiver, MaxReceivedSeries: f.MaxReceived,
		UI: page.PrometheusUI(b.cmd.pageInfo(b.build.Version)), Logger: b.log,
	})
	if err == nil && f.Config != "" {
		b.reloadOnHangup()
	}
	return err
}

// senderName distinguishes this backend from others that send to the same Prometheus. It consists of the
// machine's name and Prometheus' port.
func senderName(addr string) string {
	host, err := os.Hostname()
	_, port, splitErr := net.SplitHostPort(addr)
	if err != nil || splitErr != nil {
		return addr
	}
	return net.JoinHostPort(host, port)
}

// scraped returns the handlers of the scrape targets that the backend knows: its own two, the edge's dashboard
// with `up`, and those of --metrics.host.
func (b *backendRun) scraped(api http.Handler) (map[string]http.Handler, error) {
	hosts := map[string]http.Handler{"tempo:3200": api, "localhost:9090": nil}
	if text := os.Getenv(dashboardEnv); text != "" {
		u, err := url.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", dashboardEnv, err)
		}
		authorization := ""
		if b.doors.WantsToken("dashboard") {
			authorization = access.Bearer(b.doors.OwnToken())
		}
		hosts[dashboardTarget] = forwardTo(u, &http.Transport{TLSClientConfig: b.doors.ClientTLS("dashboard")}, authorization)
	}
	for name, addr := range b.cmd.Metrics.Host {
		hosts[name] = forwardTo(&url.URL{Scheme: "http", Host: addr}, &http.Transport{}, "")
	}
	return hosts, nil
}

const (
	dashboardTarget = "traefik:8080"        // the dashboard's name in conf/prometheus.yaml
	dashboardEnv    = "ETUDE_DASHBOARD_URL" // set by `up`
)

// forwardTo passes a scrape to another server. It sets the Host header to that server's own name, because most
// servers refuse other names.
func forwardTo(to *url.URL, transport *http.Transport, authorization string) http.Handler {
	return &httputil.ReverseProxy{Transport: access.Authorized{RoundTripper: transport, Header: authorization},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.Out.Host = to.Host
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
}

// reloadOnHangup reloads the configuration on SIGHUP, as daemons do. Without --metrics.config, SIGHUP ends the
// backend, as it ends any program whose terminal closes.
func (b *backendRun) reloadOnHangup() {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	go func() {
		for range hangups {
			if err := b.prometheus.Reload(); err != nil {
				b.log.Error("reload the configuration of metrics; the old one stays in use", "err", err)
			}
		}
	}()
}

// portName names the server on Prometheus' port.
func (f *MetricsFlags) portName() string {
	if f.Off {
		return "own metrics"
	}
	return "Prometheus"
}

// promQL handles the page's PromQL queries; nil without Prometheus.
func (b *backendRun) promQL() http.Handler {
	if b.prometheus == nil {
		return nil
	}
	return b.prometheus.Handler()
}

// metricsHandler handles Prometheus' port: it serves Prometheus or, with --metrics.off, the backend's own
// metrics; and Go's profiles.
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

// Check checks the flags before the backend opens anything.
func (f *MetricsFlags) Check() error {
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
	if f.MaxReceived < 0 {
		return fmt.Errorf("--metrics.max-received-series %d: want 0 or more", f.MaxReceived)
	}
	if f.Off && (f.Config != "" || len(f.RemoteWrite) > 0 || f.Receiver) {
		return errors.New("--metrics.config, --metrics.remote-write and --metrics.remote-write-receiver have no effect with --metrics.off: leave it out, or leave them out")
	}
	return nil
}
