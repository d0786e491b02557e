package program

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"etude/internal/door"
	"etude/page"
	"etude/tenant"
)

type upCmd struct {
	Switch       []string `name:"switch" group:"parts" placeholder:"NAME" help:"Break something on purpose, to see what a trace shows of it; help lists the switches. The page turns them on and off as well."`
	KeepGoing    bool     `name:"keep-going" group:"parts" help:"Keep running when a part dies, instead of stopping everything."`
	offsetFlag   `group:"listen"`
	backendAddrs `group:"listen"`
	edgeAddrs    `group:"listen"`
	doorFlags    `group:"door"`
	clientFlags  `group:"client"`
	backendLimits
	edgeFlags      `group:"edge"`
	EdgeConfig     string `name:"edge-config" env:"ETUDE_EDGE_CONFIG" group:"edge" placeholder:"FILE" help:"Rules of the edge, in Traefik's dynamic-configuration form; read again when it changes (default: the built-in demo rules)."`
	selfTraceFlags `group:"self"`
	Metrics        metricsFlags   `embed:"" group:"metrics"`
	Generator      generatorFlags `embed:"" prefix:"metrics." envprefix:"ETUDE_METRICS_" group:"generator"`
}

const (
	readyTimeout = 30 * time.Second        // a large log may need to be replayed
	stopGrace    = 1900 * time.Millisecond // all of edge and services together
	storeGrace   = 20 * time.Second        // never cut short what saves spans
)

// Run starts backend, services and edge, in the order in which they need each
// other, and stops them the other way round.
func (c *upCmd) Run(p *proc, command *kong.Context) error {
	begin := time.Now()
	if slices.Contains(c.Switch, "help") {
		describeToggles(p.stdout)
		return nil
	}
	plan, err := c.plan(p, command.Selected())
	if err != nil {
		return err
	}
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	out := newPrefixer(p.stdout, plan.parts, isTerminal(p.stdout))
	out.feed = &feed{}
	plan.fleet = newFleet(executable, out, plan.parts)
	board := &switchboard{plan: plan, taps: map[string]*tap{}}
	if err := board.begin(c.Switch); err != nil {
		return fmt.Errorf("--switch: %w", err)
	}
	if plan.control, err = openControl(p.ctx, plan.info.Links.Edge, controlRoutes(p.ctx, out.feed, board), p.log); err != nil {
		return err
	}
	plan.parts[0].env = append(plan.parts[0].env, plan.control.env())
	fmt.Fprintf(p.stdout, "etude keeps its data in %s\n", plan.dataDir)
	defer plan.stop(p)
	ctx, cancel := context.WithTimeoutCause(p.ctx, readyTimeout, fmt.Errorf("no answer in %s", readyTimeout))
	defer cancel()
	if err := plan.fleet.start(ctx); err != nil {
		if p.ctx.Err() != nil { // Ctrl-C while starting
			return nil
		}
		return err
	}
	plan.welcome(p.stdout, time.Since(begin))
	return c.watch(p, plan.fleet)
}

// controlRoutes are what `up` answers its backend.
func controlRoutes(ctx context.Context, lines *feed, board *switchboard) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /lines", lines.streamLines)
	mux.HandleFunc("GET /switches", board.answerStates)
	mux.HandleFunc("POST /switches", board.answerSet(ctx))
	return mux
}

// watch waits for Ctrl-C or for a part to die.
func (c *upCmd) watch(p *proc, parts *fleet) error {
	for {
		select {
		case <-p.ctx.Done():
			return nil
		case dead := <-parts.deaths:
			fmt.Fprintf(p.stdout, "\n%s has died (%s).\n", dead.part.name, dead.fate())
			if !c.KeepGoing {
				fmt.Fprintln(p.stdout, "Stopping the rest; with --keep-going they would go on.")
				return errQuiet
			}
			if !parts.alive() {
				return errors.New("every part has died")
			}
		}
	}
}

// plan is what `up` is going to run.
type plan struct {
	parts   []*part // in order of start: backend, services, edge
	dataDir string
	info    page.Info
	notes   []string // what a person should know, told with the links
	upCmd   *upCmd
	doors   *doors
	log     *slog.Logger
	fleet   *fleet   // the parts, running
	control *control // where the backend asks `up`
}

// plan prepares every part; flags are those of `up` as kong has parsed them.
func (c *upCmd) plan(p *proc, flags *kong.Node) (*plan, error) {
	if err := errors.Join(c.offsetFlag.check(), c.selfTraceFlags.check(), c.Metrics.check(), c.Generator.check(), c.tenantFlags.check(), c.checkEdge()); err != nil {
		return nil, err
	}
	doors, err := c.doorFlags.open(p.log)
	if err != nil {
		return nil, err
	}
	pl := &plan{upCmd: c, doors: doors, log: p.log}
	c.backendAddrs.fill(c.PortOffset)
	if err := c.chooseEdge(pl); err != nil {
		return nil, err
	}
	dataDir, err := c.dataDir(c.PortOffset)
	if err != nil {
		return nil, err
	}
	pl.dataDir, c.DataDir = dataDir, dataDir
	if err := c.checkPorts(); err != nil {
		return nil, err
	}
	if err := c.trustOwn(doors); err != nil {
		return nil, err
	}
	if c.AuthTokenFile != "" {
		pl.notes = append(pl.notes, "A token of "+c.AuthTokenFile+" is wanted; a browser asks for it as a password, for any user.")
	}
	pl.info = c.info(dialAddr(c.EdgeAddr))
	pl.parts = append(pl.parts, c.backendPart(pl))
	for i, s := range services {
		pl.parts = append(pl.parts, c.servicePart(pl, s.name, i))
	}
	pl.parts = append(pl.parts, c.edgePart(pl))
	pl.shareMemory()
	return pl, pl.handOn(flags)
}

// shareMemory divides the memory that `up` may use among the processes.
func (pl *plan) shareMemory() {
	c := pl.upCmd
	backend, small := memoryFor(c.Memory).shares()
	c.Memory = autoBytes(backend)
	memory{small, "share of up"}.limitOwn()
	for _, part := range pl.parts[1:] {
		part.env = append(part.env, fmt.Sprintf("GOMEMLIMIT=%d", small))
	}
}

// handOn gives every part the flags that it shares with `up`.
func (pl *plan) handOn(flags *kong.Node) error {
	parser, err := newParser(io.Discard, io.Discard)
	if err != nil {
		return err
	}
	for _, part := range pl.parts {
		h, err := handOn(parser, flags, part.args[0])
		if err != nil {
			return err
		}
		part.args, part.env = append(part.args, h.args...), append(part.env, h.env...)
		if pl.upCmd.AuthTokenFile != "" {
			part.env = append(part.env, ownTokenEnv+"="+pl.doors.own)
		}
	}
	return nil
}

// chooseEdge falls back from port 80, which many systems keep for the
// administrator and many machines have in use.
func (c *upCmd) chooseEdge(pl *plan) error {
	explicit := c.EdgeAddr != ""
	c.edgeAddrs.fill(c.PortOffset)
	err := checkFree(c.EdgeAddr, "edge-addr")
	if err == nil || explicit {
		return advise(err)
	}
	fallback := localhost(portEdgeFallback + c.PortOffset)
	if checkFree(fallback, "edge-addr") != nil {
		return advise(err)
	}
	pl.notes = append(pl.notes, fmt.Sprintf("The edge listens on port %d: %s.", portEdgeFallback+c.PortOffset, err))
	c.EdgeAddr = fallback
	return nil
}

func (c *upCmd) checkPorts() error {
	var errs []error
	fix := func(flag string, _ int, addr *string) {
		if err := resolve(addr); err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", flag, err))
		}
	}
	c.backendAddrs.each(fix)
	fix("edge-addr", 0, &c.EdgeAddr)
	fix("dashboard-addr", 0, &c.DashboardAddr)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	errs = append(errs, c.backendAddrs.checkPorts(), checkFree(c.EdgeAddr, "edge-addr"), checkFree(c.DashboardAddr, "dashboard-addr"))
	for i := range services {
		errs = append(errs, checkFree(c.serviceAddr(i), "port-offset"))
	}
	return advise(errs...)
}

// resolve turns port 0 into a free port, since parts must know each other's.
func resolve(addrs *string) error {
	if _, err := door.Split(*addrs); err != nil || !strings.HasSuffix(*addrs, ":0") {
		return err
	}
	l, err := door.Listen(*addrs, nil)
	if err != nil {
		return err
	}
	*addrs = l.String()
	return l.Close()
}

// trustOwn lets the services and the edge, which are clients like any other, trust
// the certificate of the backend.
func (c *upCmd) trustOwn(d *doors) error {
	for _, to := range []struct{ listener, addrs string }{{"otlp-grpc", c.OTLPGRPCAddr}, {"jaeger", c.JaegerAddr}} {
		if _, err := c.ownHost(d, to.listener, to.addrs); err != nil {
			return err
		}
	}
	if c.CAFile == "" {
		c.CAFile = c.TLSCert
	}
	return nil
}

// ownHost is the host by which a part of `up` connects to a listener: with TLS it
// must be one for which the certificate is good.
func (c *upCmd) ownHost(d *doors, listener, addrs string) (string, error) {
	host, port, _ := net.SplitHostPort(dialAddr(addrs))
	if !c.speaksTLS(listener) {
		return net.JoinHostPort(host, port), nil
	}
	for _, name := range []string{host, "localhost"} {
		if d.certificate.CheckHost(name) == nil {
			return net.JoinHostPort(name, port), nil
		}
	}
	return "", fmt.Errorf("--tls-cert %s is good neither for %s nor for localhost, by which the parts of up connect to --%s-addr; "+
		"use a certificate with one of these names as well, or leave %s out of --tls-listeners", c.TLSCert, host, listener, listener)
}

func (c *upCmd) serviceAddr(i int) string { return loopback(portService1 + i + c.PortOffset) }

const backendName = "backend"

func (c *upCmd) backendPart(pl *plan) *part {
	info, _ := json.Marshal(pl.info) // strings only
	return &part{name: backendName, args: []string{"backend"}, env: []string{infoEnv + "=" + string(info),
		dashboardEnv + "=" + c.scheme("dashboard") + "://" + dialAddr(c.DashboardAddr)},
		ready: answers(c.scheme("api")+"://"+dialAddr(c.APIAddr)+"/ready", pl.doors.clientTLS("api"))}
}

func (c *upCmd) servicePart(pl *plan, name string, i int) *part {
	args, env := []string{name, "--listen-addr", c.serviceAddr(i)}, c.otlpEnv(pl.doors)
	if i%2 == 0 {
		env = append(env, "ETUDE_NEXT_URL=http://"+c.serviceAddr(i+1)+"/")
	}
	return &part{name: name, args: args, env: env, ready: accepts(c.serviceAddr(i))}
}

// Variables of every OpenTelemetry SDK.
const (
	otlpHeadersEnv     = "OTEL_EXPORTER_OTLP_HEADERS"
	otlpCertificateEnv = "OTEL_EXPORTER_OTLP_CERTIFICATE"
)

// otlpEnv sends the services' spans to this backend, unless the user has named
// another. With tenants they are of the one that has what is stored without.
func (c *upCmd) otlpEnv(d *doors) []string {
	for _, key := range []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		if os.Getenv(key) != "" {
			return nil
		}
	}
	host, _ := c.ownHost(d, "otlp-grpc", c.OTLPGRPCAddr) // checked by trustOwn
	env := []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + c.scheme("otlp-grpc") + "://" + host}
	if c.speaksTLS("otlp-grpc") && os.Getenv(otlpCertificateEnv) == "" {
		env = append(env, otlpCertificateEnv+"="+c.CAFile)
	}
	var headers []string
	if c.Multitenancy {
		headers = append(headers, strings.ToLower(tenant.Header)+"="+tenant.Single)
	}
	if c.wantsToken("otlp-grpc") {
		headers = append(headers, "authorization=Bearer%20"+d.own)
	}
	if len(headers) > 0 && os.Getenv(otlpHeadersEnv) == "" {
		env = append(env, otlpHeadersEnv+"="+strings.Join(headers, ","))
	}
	return env
}

// spansTo is where the spans of the services go, for the proxies in between.
func (pl *plan) spansTo() backendAddr {
	host, _ := pl.upCmd.ownHost(pl.doors, "otlp-grpc", pl.upCmd.OTLPGRPCAddr) // checked by trustOwn
	if trust := pl.doors.clientTLS("otlp-grpc"); trust != nil {
		return backendAddr{host, credentials.NewTLS(trust)}
	}
	return backendAddr{host, insecure.NewCredentials()}
}

func (c *upCmd) edgePart(pl *plan) *part {
	host, _ := c.ownHost(pl.doors, "jaeger", c.JaegerAddr) // checked by trustOwn
	args := []string{"edge", "--jaeger-endpoint", c.scheme("jaeger") + "://" + host + "/api/traces?format=jaeger.thrift"}
	if c.Multitenancy {
		args = append(args, "--jaeger-header", tenant.Header+"="+tenant.Single)
	}
	var env []string
	for i, s := range services {
		env = append(env, strings.ToUpper(s.name)+"_URL=http://"+c.serviceAddr(i))
	}
	return &part{name: "edge", args: args, env: env,
		ready: answers(c.scheme("dashboard")+"://"+dialAddr(c.DashboardAddr)+"/ping", pl.doors.clientTLS("dashboard"))}
}

// stop ends the edge and the services first, so that their last spans find the
// backend alive, and then the backend.
func (pl *plan) stop(p *proc) {
	begin := time.Now()
	fmt.Fprintln(p.stdout, "\nStopping.")
	pl.control.close()
	killed := pl.fleet.stop()
	if len(killed) > 0 {
		fmt.Fprintf(p.stdout, "Had to kill %s, which did not stop in time.\n", strings.Join(killed, ", "))
		return
	}
	fmt.Fprintf(p.stdout, "Stopped cleanly in %d ms.\n", time.Since(begin).Milliseconds())
}

// defaultDataDir is below the user's cache directory, one for each offset, so
// that two backends side by side do not want the same.
func defaultDataDir(offset int) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place for the data: %w; name one with --data-dir", err)
	}
	name := "data"
	if offset != 0 {
		name = fmt.Sprintf("data-%d", offset)
	}
	return filepath.Join(cache, "etude", name), nil
}
