package edge

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"time"
)

// Options configure the edge. The zero value with a configuration works.
type Options struct {
	EdgeAddr      string // address for requests; default 127.0.0.1:80
	DashboardAddr string // address of the dashboard and its API; default 127.0.0.1:8080

	// Listen opens an address, or several if it supports lists; nil: net.Listen by TCP. EdgeTLS and
	// DashboardTLS make the listeners use TLS; nil: no TLS.
	Listen                func(addr string) (net.Listener, error)
	EdgeTLS, DashboardTLS *tls.Config

	// Dashboard handles requests below DashboardPath. It reads the API on the same address. nil: only the API.
	Dashboard http.Handler

	// Guard returns the dashboard's handler with access checks; it gets the dashboard's listener. nil: no
	// checks.
	Guard func(net.Listener, http.Handler) http.Handler

	// ConfigFile is the dynamic configuration, YAML in Traefik's format. The edge watches it. When it is empty,
	// ConfigText is the configuration.
	ConfigFile string
	ConfigText []byte

	// TraceExporter is jaeger (the default), otlp or none. With otlp, the variables OTEL_EXPORTER_OTLP_* choose
	// the destination and the protocol. With none there are no spans, and trace headers pass unchanged.
	TraceExporter  string
	JaegerEndpoint string            // default http://127.0.0.1:14268/api/traces?format=jaeger.thrift
	JaegerHeaders  map[string]string // sent with each batch, for example a tenant's name
	JaegerTLS      *tls.Config       // for an https endpoint; nil trusts the system's certificates
	TraceID128     bool              // new traces get 128-bit ids instead of 64-bit ids
	ServiceName    string            // default OTEL_SERVICE_NAME, else edge

	// FaviconHosts are hosts whose /favicon.ico the edge answers itself, without a trace. Browsers request it
	// for each page, and a learner who looks for the newest trace would find that one.
	FaviconHosts []string

	// WholeURLs keeps secrets in the URLs of spans and of the access log. By default the edge replaces the
	// values of parameters such as token and password.
	WholeURLs bool

	// TrustedIPs are the proxies in front of the edge whose X-Forwarded-* headers it trusts. By default it
	// trusts none.
	TrustedIPs []netip.Prefix

	DialTimeout           time.Duration // default 30 s
	ResponseHeaderTimeout time.Duration // from the end of the request to the head of the answer; default 60 s, negative for no limit
	StopTimeout           time.Duration // for requests in flight at shutdown; default 1 s

	AccessLog bool // one log line per request
	Version   string
	Logger    *slog.Logger        // default slog.Default()
	Getenv    func(string) string // default os.Getenv

	// Ready is called once, when both addresses listen, with the bound addresses.
	Ready func(edgeAddr, dashboardAddr string)
}

const (
	readHeaderTimeout = 10 * time.Second
	keepAliveTimeout  = 180 * time.Second      // idle connections of clients, as in Traefik
	cutTimeout        = 250 * time.Millisecond // for requests that were cancelled
	flushTimeout      = time.Second            // for spans at shutdown
)

func (o Options) withDefaults() Options {
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	o.EdgeAddr = cmp.Or(o.EdgeAddr, "127.0.0.1:80")
	o.DashboardAddr = cmp.Or(o.DashboardAddr, "127.0.0.1:8080")
	o.TraceExporter = cmp.Or(o.TraceExporter, "jaeger")
	o.JaegerEndpoint = cmp.Or(o.JaegerEndpoint, "http://127.0.0.1:14268/api/traces?format=jaeger.thrift")
	o.ServiceName = cmp.Or(o.ServiceName, o.Getenv("OTEL_SERVICE_NAME"), "edge")
	o.DialTimeout = cmp.Or(o.DialTimeout, 30*time.Second)
	o.ResponseHeaderTimeout = max(cmp.Or(o.ResponseHeaderTimeout, time.Minute), 0)
	o.StopTimeout = cmp.Or(o.StopTimeout, time.Second)
	o.Version = cmp.Or(o.Version, "dev")
	if o.Listen == nil {
		o.Listen = func(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }
	}
	if o.Guard == nil {
		o.Guard = func(_ net.Listener, h http.Handler) http.Handler { return h }
	}
	return o
}

// Run serves until the context ends and returns nil after a clean stop: it accepts no new requests, finishes
// those in flight or cancels them after StopTimeout, and sends all spans. An error means that the edge could
// not start (configuration, addresses, trace exporter) or that a listener failed.
func Run(ctx context.Context, o Options) error {
	o = o.withDefaults()
	e, err := newEdge(ctx, o)
	if err != nil {
		return err
	}
	if err := e.listen(); err != nil {
		return errors.Join(err, e.flush())
	}
	return e.serve(ctx)
}

// edge is a running edge: entry point, dashboard and watcher.
type edge struct {
	options   Options
	log       *slog.Logger
	entry     *entryPoint
	deps      *proxyDeps
	stats     *registry
	metrics   *instruments
	config    *configState
	watcher   *watcher // nil when the configuration is not a file
	started   time.Time
	web       net.Listener
	dashboard net.Listener
	guarded   http.Handler // the dashboard with the guard's checks
}

func newEdge(ctx context.Context, o Options) (*edge, error) {
	e := &edge{options: o, log: o.Logger, stats: &registry{}, started: time.Now(),
		config: &configState{file: o.ConfigFile}}
	e.metrics = newInstruments(e.stats)
	c, err := e.load()
	if err != nil {
		return nil, err
	}
	tracing, err := newTracing(ctx, &o)
	if err != nil {
		return nil, err
	}
	forwarder := &forwarder{trusted: o.TrustedIPs, server: hostname(), log: o.Logger}
	e.entry = &entryPoint{forwarder: forwarder, tracing: tracing, log: o.Logger, accessLog: o.AccessLog, favicons: o.FaviconHosts,
		stats: e.stats.of(kindEntryPoint, entryPointName)}
	e.deps = &proxyDeps{
		plain: newTransport(o.DialTimeout, o.ResponseHeaderTimeout, func(p *http.Protocols) {
			p.SetHTTP1(true)
			p.SetHTTP2(true)
		}),
		h2c: newTransport(o.DialTimeout, o.ResponseHeaderTimeout, func(p *http.Protocols) {
			p.SetUnencryptedHTTP2(true)
		}),
		buffers:   newBufferPool(),
		forwarder: forwarder,
		tracing:   tracing,
		stats:     e.stats,
		log:       o.Logger,
	}
	e.use(c)
	e.config.set(nil, false)
	e.metrics.registry.MustRegister(state{e})
	return e, nil
}

// load reads the initial configuration.
func (e *edge) load() (*config, error) {
	text, name := e.options.ConfigText, "configuration"
	if e.options.ConfigFile != "" {
		name = e.options.ConfigFile
		var err error
		if text, err = os.ReadFile(name); err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		e.watcher = &watcher{path: name, getenv: e.options.Getenv, log: e.log, use: e.use, state: e.config, seen: text}
	}
	return loadConfig(name, text, e.options.Getenv)
}

// use applies a configuration. Requests in flight keep the old one.
func (e *edge) use(c *config) {
	e.entry.table.Store(newTable(c, e.deps))
	e.metrics.reloaded()
}

func (e *edge) listen() error {
	var err error
	if e.web, err = e.options.Listen(e.options.EdgeAddr); err != nil {
		return fmt.Errorf("listen for requests: %w", err)
	}
	if e.dashboard, err = e.options.Listen(e.options.DashboardAddr); err != nil {
		_ = e.web.Close()
		return fmt.Errorf("listen for the dashboard: %w", err)
	}
	e.guarded = e.options.Guard(e.dashboard, e.dashboardHandler())
	e.web = withTLS(e.metrics.count(e.web, entryPointName), e.options.EdgeTLS)
	e.dashboard = withTLS(e.metrics.count(e.dashboard, dashboardName), e.options.DashboardTLS)
	return nil
}

func (e *edge) dashboardScheme() string {
	if e.options.DashboardTLS != nil {
		return "https"
	}
	return "http"
}

func withTLS(l net.Listener, c *tls.Config) net.Listener {
	if c == nil {
		return l
	}
	return tls.NewListener(l, c)
}

// serve runs both servers until the context ends or one of them fails.
func (e *edge) serve(ctx context.Context) error {
	// Requests use base instead of ctx, so that they may finish after ctx ends.
	base, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	web := e.newServer(e.entry, base)
	dashboard := e.newServer(e.guarded, base)
	broken := make(chan error, 2)
	go func() { broken <- fmt.Errorf("serve requests: %w", web.Serve(e.web)) }()
	go func() { broken <- fmt.Errorf("serve the dashboard: %w", dashboard.Serve(e.dashboard)) }()
	watching, stopWatching := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if e.watcher != nil {
			e.watcher.run(watching)
		}
	}()
	e.announce()
	var err error
	select {
	case <-ctx.Done():
	case err = <-broken:
	}
	stopWatching()
	<-watched
	e.stop(web, dashboard, cancel)
	return errors.Join(err, e.flush())
}

func (e *edge) newServer(h http.Handler, base context.Context) *http.Server {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       keepAliveTimeout,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(e.log.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}

func (e *edge) announce() {
	c := e.entry.table.Load()
	e.log.Info("edge started", "web", e.web.Addr().String(), "dashboard", e.dashboardScheme()+"://"+e.dashboard.Addr().String()+"/dashboard/",
		"routers", len(c.routes), "services", len(c.services), "traces", e.entry.tracing.exporter)
	for _, text := range c.warnings {
		e.log.Warn("configuration: " + text)
	}
	if e.options.Ready != nil {
		e.options.Ready(e.web.Addr().String(), e.dashboard.Addr().String())
	}
}

// stop closes the listeners, waits for requests in flight, then cancels them. It returns after the last
// handler, so that every span has ended.
func (e *edge) stop(web, dashboard *http.Server, cut context.CancelCauseFunc) {
	grace, cancel := context.WithTimeout(context.Background(), e.options.StopTimeout)
	defer cancel()
	_ = dashboard.Close() // pages poll again by themselves
	if err := web.Shutdown(grace); err == nil {
		e.awaitUpgraded(grace)
	}
	cut(errStopping)
	// Cancelled requests answer 503 at once, unless they block on their connection.
	// Closing the connection unblocks those.
	if !e.awaitHandlers(cutTimeout) {
		_ = web.Close()
		if !e.awaitHandlers(cutTimeout) {
			e.log.Warn("some requests did not end in time and are abandoned", "requests", e.entry.running.Load())
		}
	}
	_ = web.Close()
	e.deps.plain.CloseIdleConnections()
	e.deps.h2c.CloseIdleConnections()
}

// awaitUpgraded waits for upgraded connections until the grace ends, because the server's Shutdown does not.
func (e *edge) awaitUpgraded(grace context.Context) {
	if deadline, ok := grace.Deadline(); ok {
		e.awaitHandlers(time.Until(deadline))
	}
}

// awaitHandlers waits for the last handler and reports whether it has returned.
func (e *edge) awaitHandlers(limit time.Duration) bool {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	over := time.After(limit)
	for e.entry.running.Load() > 0 {
		select {
		case <-tick.C:
		case <-over:
			return false
		}
	}
	return true
}

// flush sends the remaining spans.
func (e *edge) flush() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := e.entry.tracing.shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stop sending spans: %w", err)
	}
	return nil
}
