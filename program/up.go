package program

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"etude/page"
	"etude/program/access"
	"etude/program/backend"
	"etude/program/control"
	"etude/program/flags"
	"etude/program/listen"
	"etude/program/memory"
	"etude/program/proc"
	"etude/program/supervise"
	"etude/program/switches"
	"etude/tenant"
)

type upCmd struct {
	Switch         []string `name:"switch" group:"parts" placeholder:"NAME" help:"Break something on purpose, to see its effect in a trace; help lists the switches. The page can also turn them on and off."`
	KeepGoing      bool     `name:"keep-going" group:"parts" help:"Keep running when a part exits, instead of stopping everything."`
	listen.Offset  `group:"listen"`
	listen.Backend `group:"listen"`
	listen.Edge    `group:"listen"`
	access.Flags   `group:"door"`
	access.Client  `group:"client"`
	backend.Limits
	edgeFlags              `group:"edge"`
	EdgeConfig             string `name:"edge-config" env:"ETUDE_EDGE_CONFIG" group:"edge" placeholder:"FILE" help:"File of rules for the edge in Traefik's dynamic-configuration format; reloaded when it changes (default: the built-in demo rules)."`
	backend.SelfTraceFlags `group:"self"`
	Metrics                backend.MetricsFlags   `embed:"" group:"metrics"`
	Generator              backend.GeneratorFlags `embed:"" prefix:"metrics." envprefix:"ETUDE_METRICS_" group:"generator"`
}

// readyTimeout is long, because the backend may have a large log to replay.
const readyTimeout = 30 * time.Second

// Run starts backend, services and edge in the order of their dependencies, and stops them in reverse.
func (c *upCmd) Run(p *proc.Proc, command *kong.Context) error {
	begin := time.Now()
	if slices.Contains(c.Switch, "help") {
		switches.Describe(p.Stdout)
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
	lines := &supervise.Feed{}
	plan.fleet = supervise.NewFleet(executable, supervise.NewOutput(p.Stdout, plan.parts, proc.IsTerminal(p.Stdout), lines), plan.parts)
	board := switches.New(plan.demoParts())
	notes, err := board.Begin(c.Switch)
	if err != nil {
		return fmt.Errorf("--switch: %w", err)
	}
	plan.notes = append(plan.notes, notes...)
	if plan.control, err = control.Open(p.Ctx, plan.info.Links.Edge, controlRoutes(p.Ctx, lines, board), p.Log); err != nil {
		return err
	}
	plan.parts[0].Env = append(plan.parts[0].Env, plan.control.Env())
	fmt.Fprintf(p.Stdout, "etude keeps its data in %s\n", plan.dataDir)
	defer plan.stop(p)
	ctx, cancel := context.WithTimeoutCause(p.Ctx, readyTimeout, fmt.Errorf("no answer in %s", readyTimeout))
	defer cancel()
	if err := plan.fleet.Start(ctx); err != nil {
		if p.Ctx.Err() != nil { // Ctrl-C while starting
			return nil
		}
		return err
	}
	plan.welcome(p.Stdout, time.Since(begin))
	debug.FreeOSMemory() // it only waits from here on
	return c.watch(p, plan.fleet)
}

// controlRoutes handles the backend's requests to `up`.
func controlRoutes(ctx context.Context, lines *supervise.Feed, board *switches.Board) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /lines", lines)
	mux.HandleFunc("GET /switches", board.AnswerStates)
	mux.HandleFunc("POST /switches", board.AnswerSet(ctx))
	return mux
}

// watch waits for Ctrl-C or until a part exits.
func (c *upCmd) watch(p *proc.Proc, parts *supervise.Fleet) error {
	for {
		select {
		case <-p.Ctx.Done():
			return nil
		case dead := <-parts.Deaths:
			fmt.Fprintf(p.Stdout, "\n%s has died (%s).\n", dead.Part.Name, dead.Fate())
			if !c.KeepGoing {
				fmt.Fprintln(p.Stdout, "Stopping the other parts; --keep-going keeps them running.")
				return proc.ErrQuiet
			}
			if !parts.Alive() {
				return errors.New("every part has died")
			}
		}
	}
}

// plan is the set of processes that `up` runs.
type plan struct {
	parts   []*supervise.Part // in order of start: backend, services, edge
	dataDir string
	info    page.Info
	notes   []string // notes for the user, printed with the links
	upCmd   *upCmd
	doors   *access.Doors
	log     *slog.Logger
	fleet   *supervise.Fleet  // the parts, running
	control *control.Listener // where the backend sends its requests to `up`
}

// plan prepares every part; flags are the flags of `up`, parsed by kong.
func (c *upCmd) plan(p *proc.Proc, flags *kong.Node) (*plan, error) {
	if err := errors.Join(c.Offset.Check(), c.SelfTraceFlags.Check(), c.Metrics.Check(), c.Generator.Check(), c.CheckTenants(), c.checkEdge()); err != nil {
		return nil, err
	}
	doors, err := c.Flags.Open(p.Log)
	if err != nil {
		return nil, err
	}
	pl := &plan{upCmd: c, doors: doors, log: p.Log}
	c.Backend.Fill(c.PortOffset)
	if err := c.chooseEdge(pl); err != nil {
		return nil, err
	}
	dataDir, err := c.DirFor(c.PortOffset)
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
		pl.notes = append(pl.notes, "Access requires a token of "+c.AuthTokenFile+". A browser asks for it as a password; any user name works.")
	}
	pl.info = c.info(listen.DialAddr(c.EdgeAddr), p.Version)
	pl.parts = append(pl.parts, c.backendPart(pl))
	for i, s := range services {
		pl.parts = append(pl.parts, c.servicePart(pl, s.name, i))
	}
	pl.parts = append(pl.parts, c.edgePart(pl))
	pl.shareMemory()
	return pl, pl.handOn(flags)
}

// shareMemory divides the memory of `up` among the processes.
func (pl *plan) shareMemory() {
	c := pl.upCmd
	backend, small := memory.For(c.Memory).Shares()
	c.Memory = flags.AutoBytes(backend)
	memory.Limit{Bytes: small, Source: "share of up"}.LimitOwn()
	for _, part := range pl.parts[1:] {
		part.Env = append(part.Env, fmt.Sprintf("GOMEMLIMIT=%d", small))
	}
}

// handOn passes every part the flags that it shares with `up`.
func (pl *plan) handOn(flags *kong.Node) error {
	for _, part := range pl.parts {
		h, err := handOn(flags, part.Args[0])
		if err != nil {
			return err
		}
		part.Args, part.Env = append(part.Args, h.args...), append(part.Env, h.env...)
		if pl.upCmd.AuthTokenFile != "" {
			part.Env = append(part.Env, access.OwnTokenEnv+"="+pl.doors.OwnToken())
		}
	}
	return nil
}

// chooseEdge uses another port when port 80 is unavailable: many systems reserve it for the administrator, and
// on many machines it is in use.
func (c *upCmd) chooseEdge(pl *plan) error {
	explicit := c.EdgeAddr != ""
	c.Edge.Fill(c.PortOffset)
	err := listen.CheckFree(c.EdgeAddr, "edge-addr")
	if err == nil || explicit {
		return listen.Advise(err)
	}
	fallback := listen.Localhost(listen.PortEdgeFallback + c.PortOffset)
	if listen.CheckFree(fallback, "edge-addr") != nil {
		return listen.Advise(err)
	}
	pl.notes = append(pl.notes, fmt.Sprintf("The edge listens on port %d: %s.", listen.PortEdgeFallback+c.PortOffset, err))
	c.EdgeAddr = fallback
	return nil
}

func (c *upCmd) checkPorts() error {
	var errs []error
	fix := func(flag string, _ int, addr *string) {
		if err := listen.Resolve(addr); err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", flag, err))
		}
	}
	c.Backend.Each(fix)
	fix("edge-addr", 0, &c.EdgeAddr)
	fix("dashboard-addr", 0, &c.DashboardAddr)
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	errs = append(errs, c.Backend.CheckPorts(), listen.CheckFree(c.EdgeAddr, "edge-addr"), listen.CheckFree(c.DashboardAddr, "dashboard-addr"))
	for i := range services {
		errs = append(errs, listen.CheckFree(c.serviceAddr(i), "port-offset"))
	}
	return listen.Advise(errs...)
}

// trustOwn makes the services and the edge, which connect as ordinary clients, trust the backend's certificate.
func (c *upCmd) trustOwn(d *access.Doors) error {
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

// ownHost is the host by which a part of `up` connects to a listener. With TLS, the certificate must be valid
// for it.
func (c *upCmd) ownHost(d *access.Doors, listener, addrs string) (string, error) {
	host, port, _ := net.SplitHostPort(listen.DialAddr(addrs))
	if !c.SpeaksTLS(listener) {
		return net.JoinHostPort(host, port), nil
	}
	for _, name := range []string{host, "localhost"} {
		if d.IsFor(name) {
			return net.JoinHostPort(name, port), nil
		}
	}
	return "", fmt.Errorf("--tls-cert %s is valid neither for %s nor for localhost, through which the parts of up connect to --%s-addr; "+
		"use a certificate that has one of these names, or leave %s out of --tls-listeners", c.TLSCert, host, listener, listener)
}

func (c *upCmd) serviceAddr(i int) string {
	return listen.Loopback(listen.PortService1 + i + c.PortOffset)
}

func (c *upCmd) backendPart(pl *plan) *supervise.Part {
	return &supervise.Part{Name: "backend", Unread: true, Args: []string{"backend"}, Env: backend.Env(pl.info, c.Scheme("dashboard")+"://"+listen.DialAddr(c.DashboardAddr)),
		Ready: supervise.Answers(c.Scheme("api")+"://"+listen.DialAddr(c.APIAddr)+"/ready", pl.doors.ClientTLS("api"))}
}

func (c *upCmd) servicePart(pl *plan, name string, i int) *supervise.Part {
	args, env := []string{name, "--listen-addr", c.serviceAddr(i)}, c.otlpEnv(pl.doors)
	if i%2 == 0 {
		env = append(env, "ETUDE_NEXT_URL=http://"+c.serviceAddr(i+1)+"/")
	}
	return &supervise.Part{Name: name, Args: args, Env: env, Ready: supervise.Accepts(c.serviceAddr(i))}
}

// otlpEnv returns the variables that send the services' spans to this backend, unless the user has set another
// destination. With tenants, the spans belong to the tenant of spans stored without --multitenancy.
func (c *upCmd) otlpEnv(d *access.Doors) []string {
	for _, key := range []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		if os.Getenv(key) != "" {
			return nil
		}
	}
	host, _ := c.ownHost(d, "otlp-grpc", c.OTLPGRPCAddr) // checked by trustOwn
	env := []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=" + c.Scheme("otlp-grpc") + "://" + host}
	if c.SpeaksTLS("otlp-grpc") && os.Getenv(access.OTLPCertificateEnv) == "" {
		env = append(env, access.OTLPCertificateEnv+"="+c.CAFile)
	}
	var headers []string
	if c.Multitenancy {
		headers = append(headers, strings.ToLower(tenant.Header)+"="+tenant.Single)
	}
	if c.WantsToken("otlp-grpc") {
		headers = append(headers, "authorization=Bearer%20"+d.OwnToken())
	}
	if len(headers) > 0 && os.Getenv(access.OTLPHeadersEnv) == "" {
		env = append(env, access.OTLPHeadersEnv+"="+strings.Join(headers, ","))
	}
	return env
}

// demoParts is the set of parts that switches change.
func (pl *plan) demoParts() switches.Demo {
	c := pl.upCmd
	return switches.Demo{Fleet: pl.fleet, OTLPEnv: c.otlpEnv(pl.doors), SpansTo: pl.spansTo(), Fourth: c.serviceAddr(3), OwnRules: c.EdgeConfig == "", Log: pl.log}
}

// spansTo is the receiver of the services' spans, for the proxies that change them.
func (pl *plan) spansTo() switches.Destination {
	host, _ := pl.upCmd.ownHost(pl.doors, "otlp-grpc", pl.upCmd.OTLPGRPCAddr) // checked by trustOwn
	if trust := pl.doors.ClientTLS("otlp-grpc"); trust != nil {
		return switches.Destination{Host: host, Credentials: credentials.NewTLS(trust)}
	}
	return switches.Destination{Host: host, Credentials: insecure.NewCredentials()}
}

func (c *upCmd) edgePart(pl *plan) *supervise.Part {
	host, _ := c.ownHost(pl.doors, "jaeger", c.JaegerAddr) // checked by trustOwn
	args := []string{"edge", "--jaeger-endpoint", c.Scheme("jaeger") + "://" + host + "/api/traces?format=jaeger.thrift"}
	if c.Multitenancy {
		args = append(args, "--jaeger-header", tenant.Header+"="+tenant.Single)
	}
	var env []string
	for i, s := range services {
		env = append(env, strings.ToUpper(s.name)+"_URL=http://"+c.serviceAddr(i))
	}
	return &supervise.Part{Name: "edge", Args: args, Env: env,
		Ready: supervise.Answers(c.Scheme("dashboard")+"://"+listen.DialAddr(c.DashboardAddr)+"/ping", pl.doors.ClientTLS("dashboard"))}
}

// stop ends the edge and the services first, so that the backend still receives their last spans, and then the
// backend.
func (pl *plan) stop(p *proc.Proc) {
	begin := time.Now()
	fmt.Fprintln(p.Stdout, "\nStopping.")
	pl.control.Close()
	killed := pl.fleet.Stop()
	if len(killed) > 0 {
		fmt.Fprintf(p.Stdout, "Had to kill %s, which did not stop in time.\n", strings.Join(killed, ", "))
		return
	}
	fmt.Fprintf(p.Stdout, "Stopped cleanly in %d ms.\n", time.Since(begin).Milliseconds())
}
