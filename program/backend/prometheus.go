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

// MetricsFlags are those of the embedded Prometheus.
type MetricsFlags struct {
	Off         bool              `name:"metrics.off" env:"ETUDE_METRICS_OFF" help:"Run without the embedded Prometheus; its port serves the backend's own metrics instead."`
	Config      string            `name:"metrics.config" env:"ETUDE_METRICS_CONFIG" placeholder:"FILE" help:"Configuration in Prometheus' form: scrapes, rules, remote write; read again on SIGHUP (default: conf/prometheus.yaml, built in)."`
	Host        map[string]string `name:"metrics.host" env:"ETUDE_METRICS_HOST" placeholder:"NAME:PORT=ADDR" help:"Where a target of the configuration really listens; tempo:3200, localhost:9090 and, in up, traefik:8080 are known."`
	Retention   time.Duration     `name:"metrics.retention" env:"ETUDE_METRICS_RETENTION" default:"24h" help:"Drop metrics older than this; 0 keeps them."`
	MaxDisk     flags.Bytes       `name:"metrics.max-disk" env:"ETUDE_METRICS_MAX_DISK" default:"512MiB" help:"Drop the oldest metrics when they take more than this on disk; 0 lifts the limit."`
	RemoteWrite []string          `name:"metrics.remote-write" env:"ETUDE_METRICS_REMOTE_WRITE" secret:"" placeholder:"URL" help:"Send metrics, with exemplars, to this Prometheus as well (http://USER:PASSWORD@HOST:9090/api/v1/write), with the label etude=MACHINE:PORT unless the configuration has external labels; may be repeated."`
	Lifecycle   bool              `name:"metrics.lifecycle" env:"ETUDE_METRICS_LIFECYCLE" help:"Let POST /-/reload on Prometheus' port read the configuration again."`
	Receiver    bool              `name:"metrics.remote-write-receiver" env:"ETUDE_METRICS_REMOTE_WRITE_RECEIVER" help:"Let others write metrics to Prometheus' port: remote write to /api/v1/write, OTLP to /api/v1/otlp/v1/metrics. OTLP metrics to ports 4317 and 4318 need no flag."`
	MaxReceived int               `name:"metrics.max-received-series" env:"ETUDE_METRICS_MAX_RECEIVED_SERIES" default:"50000" help:"Most series that others write, by OTLP and by remote write, and most that are made anew in an hour. A service gets at most a third. 0 lifts the limit."`
	Pprof       bool              `name:"pprof" env:"ETUDE_PPROF" help:"Serve Go's profiles below /debug/pprof/ on Prometheus' port. They never show the command line."`
}

// openPrometheus starts Prometheus, whose handler is to be served at addr. Its
// storage opens in the background.
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

// senderName tells this backend from others that send to the same Prometheus: the
// machine's name and Prometheus' port.
func senderName(addr string) string {
	host, err := os.Hostname()
	_, port, splitErr := net.SplitHostPort(addr)
	if err != nil || splitErr != nil {
		return addr
	}
	return net.JoinHostPort(host, port)
}

// scraped answers the targets of the configuration that the backend knows: its own
// two, the edge's dashboard in `up`, and those of --metrics.host.
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
	dashboardEnv    = "ETUDE_DASHBOARD_URL" // where `up` says that it is
)

// forwardTo passes a scrape on to another server under that server's own name:
// most answer no request for another.
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
func (f *MetricsFlags) portName() string {
	if f.Off {
		return "own metrics"
	}
	return "Prometheus"
}

// promQL answers the page's questions for metrics; it is nil without Prometheus.
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

// Check finds mistakes before anything is started.
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
		return errors.New("--metrics.off leaves nothing for --metrics.config, --metrics.remote-write or --metrics.remote-write-receiver to act on")
	}
	return nil
}
