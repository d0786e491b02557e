// Package backend runs the trace backend as one process. It declares the flags and wires ingest, storage,
// queries, the API, the page, metrics, the labs and the backend's own traces. It opens its listeners last and
// closes its storage last.
package backend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"etude/metrics/prometheus"
	"etude/page"
	"etude/program/access"
	"etude/program/flags"
	"etude/program/listen"
	"etude/program/memory"
	"etude/program/proc"
	"etude/query"
	"etude/receive"
	"etude/store"
	"etude/store/block"
	"etude/store/tenants"
	"etude/telemetry"
)

// infoEnv passes the links of the whole demo from `up` to the page.
const infoEnv = "ETUDE_PAGE_INFO"

// Command is `etude backend`.
type Command struct {
	listen.Offset  `group:"listen"`
	listen.Backend `group:"listen"`
	access.Flags   `group:"door"`
	access.Client  `group:"client"`
	Limits
	SelfTraceFlags `group:"self"`
	Generator      GeneratorFlags `embed:"" prefix:"metrics." envprefix:"ETUDE_METRICS_" group:"generator"`
	Metrics        MetricsFlags   `embed:"" group:"metrics"`
}

// Limits holds the flags of storage and of the limits on clients.
type Limits struct {
	storageFlags `group:"storage"`
	blockFlags   `group:"storage"`
	ingestFlags  `group:"ingest"`
	spanLimits   `group:"ingest"`
	queryFlags   `group:"query"`
	tenantFlags  `group:"tenants"`
	labFlags     `group:"labs"`
}

// storageFlags control where spans are stored, for how long and how many.
type storageFlags struct {
	DataDir      string             `name:"data-dir" env:"ETUDE_DATA_DIR" placeholder:"DIR" help:"Directory for spans (default: etude/data in the user's cache directory)."`
	Retention    flags.AutoDuration `name:"retention" env:"ETUDE_RETENTION" default:"auto" help:"Age, counted from arrival, at which spans are dropped; 0 keeps them forever. auto: 168h with --blocks, otherwise 1h."`
	MaxDisk      flags.AutoBytes    `name:"max-disk" env:"ETUDE_MAX_DISK" default:"auto" help:"Maximum disk space for the data of all tenants; beyond it, the oldest spans are dropped, first those of the largest tenants. 0 means no limit. auto: 4GiB with --blocks, otherwise 2GiB."`
	Memory       flags.AutoBytes    `name:"memory" env:"ETUDE_MEMORY" default:"auto" help:"Memory limit of the process; limits set to auto are shares of it. auto: GOMEMLIMIT, otherwise the cgroup's limit, otherwise half of the machine's memory (here ${memory}). up divides it among its processes."`
	HeadMaxBytes flags.AutoBytes    `name:"head-max-bytes" env:"ETUDE_HEAD_MAX_BYTES" default:"auto" help:"Maximum memory for spans of all tenants; beyond it, the oldest are written to a block early, or dropped with --no-blocks, first those of the largest tenants. 0 means no limit. auto: a third of --memory, at most 1GiB (here ${head})."`
	HeadMaxSpans int64              `name:"head-max-spans" env:"ETUDE_HEAD_MAX_SPANS" default:"0" help:"Maximum number of spans in memory; like --head-max-bytes, it holds for all tenants together. 0 means no limit."`
	WALSync      store.Sync         `name:"wal-sync" env:"ETUDE_WAL_SYNC" enum:"group,interval" default:"group" help:"When to sync the log to disk. group: before each acknowledgement, one sync for all waiting requests. interval: once a second; a machine crash can lose that second's acknowledged spans."`
}

// ingestFlags limit the data that clients send.
type ingestFlags struct {
	MaxBody         flags.Bytes     `name:"max-body" env:"ETUDE_MAX_BODY" default:"20MiB" help:"Maximum size of a request body, as sent."`
	MaxDecompressed flags.Bytes     `name:"max-decompressed" env:"ETUDE_MAX_DECOMPRESSED" default:"20MiB" help:"Maximum size of a request body after decompression."`
	MaxSpans        int             `name:"max-spans" env:"ETUDE_MAX_SPANS" default:"100000" help:"Maximum number of spans in one request."`
	MaxInFlight     flags.AutoBytes `name:"max-in-flight" env:"ETUDE_MAX_IN_FLIGHT" default:"auto" help:"Maximum memory for all requests being received; beyond it, clients are told to retry. auto: a seventh of --memory, at most 256MiB (here ${in_flight})."`
	MaxQueue        flags.AutoBytes `name:"max-queue" env:"ETUDE_MAX_QUEUE" default:"auto" help:"Maximum size of one tenant's spans that wait for the disk; beyond it, clients are told to retry. auto: a twentieth of --memory, at most 64MiB (here ${queue})."`
}

// queryFlags limit queries.
type queryFlags struct {
	MaxQueryTime      time.Duration   `name:"max-query-time" env:"ETUDE_MAX_QUERY_TIME" default:"30s" help:"Maximum time for one query, including the time it waits."`
	MaxQueryMemory    flags.AutoBytes `name:"max-query-memory" env:"ETUDE_MAX_QUERY_MEMORY" default:"auto" help:"Maximum memory for the groups, counts and results of one query, including its answer; 0 means no limit. auto: a twelfth of --memory, at most 512MiB (here ${query})."`
	MaxQueriesMemory  flags.AutoBytes `name:"max-queries-memory" env:"ETUDE_MAX_QUERIES_MEMORY" default:"auto" help:"Maximum memory for the groups, counts and results of all queries together; a query that needs more than is free is told to retry. 0 means no limit. auto: twice --max-query-memory."`
	QueryFactsMemory  flags.AutoBytes `name:"query-facts-memory" env:"ETUDE_QUERY_FACTS_MEMORY" default:"auto" help:"Memory for facts about parts that queries reuse, such as start times of traces and lists of values. auto: a fiftieth of --memory, at most 64MiB (here ${facts})."`
	MaxTraceSpans     int             `name:"max-trace-spans" env:"ETUDE_MAX_TRACE_SPANS" default:"200000" help:"Maximum number of spans in an answer that holds a whole trace. For a larger trace, /api/v2/traces returns the spans that start first, with status PARTIAL, and /api/traces returns an error. 0 means no limit."`
	MaxMetricsRange   time.Duration   `name:"max-metrics-range" env:"ETUDE_MAX_METRICS_RANGE" default:"744h" help:"Maximum time range of a TraceQL metrics query. Tempo's own default is 24h."`
	MaxQueries        flags.AutoCount `name:"max-queries" env:"ETUDE_MAX_QUERIES" default:"auto" help:"Maximum number of queries that run at the same time; others wait. auto: 16, fewer when --memory is below 1GiB (here ${queries})."`
	MaxWaitingQueries int             `name:"max-waiting-queries" env:"ETUDE_MAX_WAITING_QUERIES" default:"1000" help:"Maximum number of waiting queries; beyond it, clients are told to retry."`
	TempoStructure    bool            `name:"tempo-structure" env:"ETUDE_TEMPO_STRUCTURE" help:"Relate spans by TraceQL's structural operators only below a root span that has arrived, as Tempo does. By default the span ids alone decide, so that queries also match traces that are still running."`
}

// longestMetricsRange is ten years: the arithmetic of time slots has room for more.
const longestMetricsRange = 87_600 * time.Hour

// Validate checks the flags; kong calls it after parsing.
func (l *Limits) Validate() error {
	switch {
	case l.MaxQueryTime <= 0:
		return fmt.Errorf("--max-query-time %s: want more than 0", l.MaxQueryTime)
	case l.MaxMetricsRange <= 0 || l.MaxMetricsRange > longestMetricsRange:
		return fmt.Errorf("--max-metrics-range %s: want more than 0, and at most %s", l.MaxMetricsRange, longestMetricsRange)
	case l.MaxInFlight == 0:
		return errors.New("--max-in-flight 0: want more than 0, or auto")
	case l.MaxTraceSpans < 0:
		return fmt.Errorf("--max-trace-spans %d: want 0 or more", l.MaxTraceSpans)
	case l.MaxWaitingQueries < 1:
		return fmt.Errorf("--max-waiting-queries %d: want at least 1", l.MaxWaitingQueries)
	}
	return errors.Join(l.spanLimits.check(), l.blockFlags.check())
}

// DirFor returns the data directory. Without --data-dir, each port offset has its own.
func (l *Limits) DirFor(offset int) (string, error) {
	if l.DataDir != "" {
		return l.DataDir, nil
	}
	return defaultDataDir(offset)
}

// Run opens the storage first and the listeners last. At the end it closes the listeners first and the storage
// last.
func (c *Command) Run(p *proc.Proc) error {
	begin := time.Now()
	if err := errors.Join(c.Offset.Check(), c.SelfTraceFlags.Check(), c.Metrics.Check(), c.Generator.Check(), c.CheckTenants(), c.CheckDoors()); err != nil {
		return err
	}
	c.Backend.Fill(c.PortOffset)
	dir, err := c.DirFor(c.PortOffset)
	if err != nil {
		return err
	}
	if err := listen.Advise(c.Backend.CheckPorts()); err != nil {
		return err
	}
	mem := memory.For(c.Memory)
	mem.LimitOwn()
	mem.WarnOfLittle(p.Log)
	c.derive(mem)
	doors, err := c.Flags.Open(p.Log)
	if err != nil {
		return err
	}
	b := &backendRun{cmd: c, log: p.Log, doors: doors, build: p.Build}
	if err := b.open(dir); err != nil {
		return errors.Join(err, b.close())
	}
	b.ready.Store(true)
	doors.Warn(p.Log)
	c.banner(p, b, dir, mem, time.Since(begin))
	var failure error
	select {
	case <-p.Ctx.Done():
	case failure = <-b.failed:
	}
	return errors.Join(failure, b.close())
}

func (c *Command) banner(p *proc.Proc, b *backendRun, dir string, mem memory.Limit, took time.Duration) {
	fmt.Fprintf(p.Stdout, "backend is ready, in %d ms: %d spans in %s (--retention %s --max-disk %s --wal-sync %s%s)\n",
		took.Milliseconds(), b.totals().Spans, dir, &c.Retention, &c.MaxDisk, c.WALSync, c.blockFlags.said())
	fmt.Fprintf(p.Stdout, "memory   %s: --head-max-bytes %s --max-in-flight %s --max-queue %s --max-query-memory %s --max-queries %s\n",
		mem, &c.HeadMaxBytes, &c.MaxInFlight, &c.MaxQueue, &c.MaxQueryMemory, &c.MaxQueries)
	addrs := b.receive.Addrs()
	fmt.Fprintf(p.Stdout, "receives OTLP gRPC %s, OTLP HTTP %s, Jaeger thrift %s, Jaeger gRPC %s, Zipkin %s\n",
		addrs.OTLPGRPC, addrs.OTLPHTTP, addrs.Jaeger, addrs.JaegerGRPC, addrs.Zipkin)
	fmt.Fprintf(p.Stdout, "answers  Tempo's API %s, page %s, %s %s\n", b.urls[0], b.urls[1], c.Metrics.portName(), b.urls[2])
}

// backendRun is a running backend.
type backendRun struct {
	cmd     *Command
	build   proc.Build
	log     *slog.Logger
	doors   *access.Doors
	ready   atomic.Bool
	stores  *tenants.Set
	cache   *block.Cache // cache of block columns for queries; nil without blocks
	receive *receive.Server
	servers []*http.Server
	dir     string       // of the data
	api     http.Handler // handler of the API's port, before access checks
	urls    []string     // API, page, Prometheus
	failed  chan error

	priority   store.Priority // of queries over writes, shared by all stores
	queries    *query.Engine
	telemetry  *telemetry.Telemetry
	observer   store.Observer         // of the stores; telemetry unless a test sets another
	self       *selfTrace             // nil when the backend does not trace itself
	prometheus *prometheus.Prometheus // nil with --metrics.off
	generators generators
}

func (b *backendRun) open(dir string) error {
	b.failed, b.dir = make(chan error, 8), dir
	stats := &receive.Stats{}
	b.telemetry = telemetry.New(b.samples(stats))
	if b.observer == nil {
		b.observer = b.telemetry
	}
	began := time.Now()
	if err := b.openStores(dir); err != nil {
		return fmt.Errorf("open the data in %s: %w", dir, err)
	}
	opened := time.Now()
	var err error
	b.receive, err = receive.Listen(receive.Config{
		OTLPGRPCAddr: b.cmd.OTLPGRPCAddr, OTLPHTTPAddr: b.cmd.OTLPHTTPAddr,
		JaegerAddr: b.cmd.JaegerAddr, JaegerGRPCAddr: b.cmd.JaegerGRPCAddr, ZipkinAddr: b.cmd.ZipkinAddr,
		Limits: receive.Limits{Body: int64(b.cmd.MaxBody), Decompressed: int64(b.cmd.MaxDecompressed), Spans: b.cmd.MaxSpans, InFlight: int64(b.cmd.MaxInFlight)},
		Open:   b.doors.OpenIngest, Authorize: b.doors.AuthorizeIngest(), AllowedOrigins: b.cmd.AllowedOrigins,
		Multitenancy: b.cmd.Multitenancy, Logger: b.log, Stats: stats, Metrics: b.metricsSink(),
	}, b.stores)
	if err != nil {
		return err
	}
	target, err := b.selfTarget(b.receive.Addrs().OTLPGRPC)
	if err != nil {
		return err
	}
	b.self, err = newSelfTrace(context.Background(), &b.cmd.SelfTraceFlags, target, b.build.Version, b.log)
	if err != nil {
		return err
	}
	b.self.opened(began, opened, b.totals())
	b.queries = query.NewForTenants(b.stores, b.queryOptions()) // reports to b.self
	if err := b.openHTTP(dir); err != nil {
		return err
	}
	go func() {
		if err := b.receive.Serve(); err != nil {
			b.failed <- err
		}
	}()
	return nil
}

func (b *backendRun) queryOptions() query.Options {
	c := b.cmd
	o := query.Options{MaxTime: c.MaxQueryTime, MaxMemory: orNone(int64(c.MaxQueryMemory)), MaxTotalMemory: orNone(int64(c.MaxQueriesMemory)), MaxFacts: int64(c.QueryFactsMemory),
		MaxTraceSpans: int(orNone(int64(c.MaxTraceSpans))), MaxMetricsRange: c.MaxMetricsRange, MaxConcurrent: int(c.MaxQueries), MaxWaiting: c.MaxWaitingQueries, TempoStructure: c.TempoStructure,
		Running: b.priority.Query, Observer: queryObserver{b.telemetry, b.self}}
	return o
}

// orNone converts a flag's 0, which means no limit, into an option's -1.
func orNone(limit int64) int64 {
	if limit == 0 {
		return -1
	}
	return limit
}

func (b *backendRun) isReady() error {
	if !b.ready.Load() {
		return errors.New("starting or stopping")
	}
	return b.stores.Ready()
}

// status returns the lines of /status about the stored data.
func (b *backendRun) status() (lines []string) {
	for _, t := range b.stores.Tenants() {
		for _, line := range t.Problems() {
			if name := b.labelOf(t); name != "" {
				line = "tenant " + name + ": " + line
			}
			lines = append(lines, line)
		}
	}
	return lines
}

// Env returns the variables in which `up` passes the links of the whole demo and the address of the edge's
// dashboard to the backend.
func Env(info page.Info, dashboard string) []string {
	text, _ := json.Marshal(info) // strings only
	return []string{infoEnv + "=" + string(text), dashboardEnv + "=" + dashboard}
}

// pageInfo returns the links that `up` passed on, or the backend's own.
func (c *Command) pageInfo(version string) page.Info {
	info := LinksOf(&c.Backend, &c.Flags, version)
	if text := os.Getenv(infoEnv); text != "" {
		var given page.Info
		if json.Unmarshal([]byte(text), &given) == nil {
			given.Version = version
			return given
		}
	}
	return info
}

// drain limits the time that running queries may still take at shutdown, and the time that requests with spans
// may take.
const drain = 500 * time.Millisecond

// close closes what is open, listeners first and storage last. Queries end before ingest does, because the
// backend may receive its own spans about them.
func (b *backendRun) close() error {
	b.ready.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	var errs []error
	for _, s := range b.servers {
		if err := s.Shutdown(ctx); err != nil {
			errs = append(errs, s.Close())
		}
	}
	errs = append(errs, b.self.close())
	if b.receive != nil {
		ctx, cancel := context.WithTimeout(context.Background(), drain)
		defer cancel()
		errs = append(errs, b.receive.Shutdown(ctx))
	}
	if b.stores != nil {
		b.stores.Unfollow()
	}
	if b.prometheus != nil {
		errs = append(errs, b.prometheus.Close())
	}
	if b.stores != nil {
		errs = append(errs, b.stores.Close())
	}
	return errors.Join(errs...)
}

// LinksOf returns the links to a backend's listeners.
func LinksOf(a *listen.Backend, f *access.Flags, version string) page.Info {
	url := func(listener, addrs string) string { return listen.BrowserURL(f.Scheme(listener), addrs) }
	return page.Info{Version: version, Links: page.Links{
		API: url("api", a.APIAddr), Page: url("page", a.PageAddr), Prometheus: url("prometheus", a.PrometheusAddr) + "/",
		OTLPGRPC: url("otlp-grpc", a.OTLPGRPCAddr), OTLPHTTP: url("otlp-http", a.OTLPHTTPAddr), Jaeger: url("jaeger", a.JaegerAddr),
	}}
}

// defaultDataDir returns a directory in the user's cache directory. Each offset has its own, so that two
// backends on one machine do not share one.
func defaultDataDir(offset int) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a directory for the data: %w; set one with --data-dir", err)
	}
	name := "data"
	if offset != 0 {
		name = fmt.Sprintf("data-%d", offset)
	}
	return filepath.Join(cache, "etude", name), nil
}
