// Package backend is the trace backend as one process: the flags, and the wiring of
// receiving, storage, queries, the API, the page, metrics, the labs and the backend's own
// traces. It listens last and closes its storage last.
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

// infoEnv carries the links of the whole demo from `up` to the page.
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

// Limits say where the data are kept, how much of them, and what clients
// may send and ask for.
type Limits struct {
	storageFlags `group:"storage"`
	blockFlags   `group:"storage"`
	ingestFlags  `group:"ingest"`
	spanLimits   `group:"ingest"`
	queryFlags   `group:"query"`
	tenantFlags  `group:"tenants"`
	labFlags     `group:"labs"`
}

// storageFlags say what is kept, and where.
type storageFlags struct {
	DataDir      string             `name:"data-dir" env:"ETUDE_DATA_DIR" placeholder:"DIR" help:"Where spans are kept (default: etude/data below the user's cache directory)."`
	Retention    flags.AutoDuration `name:"retention" env:"ETUDE_RETENTION" default:"auto" help:"Drop spans that came in longer ago than this; 0 keeps them. auto: 168h with --blocks, else 1h."`
	MaxDisk      flags.AutoBytes    `name:"max-disk" env:"ETUDE_MAX_DISK" default:"auto" help:"Drop the oldest spans when the data, of all tenants together, take more than this on disk; 0 lifts the limit. auto: 4GiB with --blocks, else 2GiB. When tenants exceed it together, those with the most give way."`
	Memory       flags.AutoBytes    `name:"memory" env:"ETUDE_MEMORY" default:"auto" help:"Memory limit of the process; limits that say auto are shares of it. auto is GOMEMLIMIT, else the limit of the cgroup, else half of the machine's: here ${memory}. up divides it among its processes."`
	HeadMaxBytes flags.AutoBytes    `name:"head-max-bytes" env:"ETUDE_HEAD_MAX_BYTES" default:"auto" help:"When spans take more memory than this, the oldest become a block early, or without --blocks are dropped; 0 lifts the limit. auto: a third of --memory, at most 1GiB (here ${head}). Tenants share it as they share --max-disk."`
	HeadMaxSpans int64              `name:"head-max-spans" env:"ETUDE_HEAD_MAX_SPANS" default:"0" help:"As --head-max-bytes, by their number; 0 lifts the limit. Tenants share it as they share --max-disk."`
	WALSync      store.Sync         `name:"wal-sync" env:"ETUDE_WAL_SYNC" enum:"group,interval" default:"group" help:"When the log is synced: group acknowledges only what is on disk, one sync for all that wait; interval syncs once a second, and a crash of the machine loses up to that second though it was acknowledged."`
}

// ingestFlags bound what clients send.
type ingestFlags struct {
	MaxBody         flags.Bytes     `name:"max-body" env:"ETUDE_MAX_BODY" default:"20MiB" help:"Largest request body as sent."`
	MaxDecompressed flags.Bytes     `name:"max-decompressed" env:"ETUDE_MAX_DECOMPRESSED" default:"20MiB" help:"Largest request after decompression."`
	MaxSpans        int             `name:"max-spans" env:"ETUDE_MAX_SPANS" default:"100000" help:"Most spans in one request."`
	MaxInFlight     flags.AutoBytes `name:"max-in-flight" env:"ETUDE_MAX_IN_FLIGHT" default:"auto" help:"Memory for all requests with spans that are being received; when they take more, clients are told to retry. auto: a seventh of --memory, at most 256MiB (here ${in_flight})."`
	MaxQueue        flags.AutoBytes `name:"max-queue" env:"ETUDE_MAX_QUEUE" default:"auto" help:"Spans of one tenant waiting for the disk; when there are more, clients are told to retry. auto: a twentieth of --memory, at most 64MiB (here ${queue})."`
}

// queryFlags bound what clients ask for.
type queryFlags struct {
	MaxQueryTime      time.Duration   `name:"max-query-time" env:"ETUDE_MAX_QUERY_TIME" default:"30s" help:"Longest time for one query, waiting included."`
	MaxQueryMemory    flags.AutoBytes `name:"max-query-memory" env:"ETUDE_MAX_QUERY_MEMORY" default:"auto" help:"Most memory for the groups, counts and results of one query, its answer included; 0 lifts the limit. auto: a twelfth of --memory, at most 512MiB (here ${query})."`
	MaxQueriesMemory  flags.AutoBytes `name:"max-queries-memory" env:"ETUDE_MAX_QUERIES_MEMORY" default:"auto" help:"Most memory for the groups, counts and results of all queries together; a query that needs more than is left is told to retry. 0 lifts the limit. auto: twice --max-query-memory."`
	QueryFactsMemory  flags.AutoBytes `name:"query-facts-memory" env:"ETUDE_QUERY_FACTS_MEMORY" default:"auto" help:"Memory for facts of parts that queries reuse: when traces began, lists of values. auto: a fiftieth of --memory, at most 64MiB (here ${facts})."`
	MaxTraceSpans     int             `name:"max-trace-spans" env:"ETUDE_MAX_TRACE_SPANS" default:"200000" help:"Most spans in an answer that holds a whole trace. Of a larger trace /api/v2/traces answers the spans that start first, with status PARTIAL; /api/traces refuses it. 0 lifts the limit."`
	MaxQueries        flags.AutoCount `name:"max-queries" env:"ETUDE_MAX_QUERIES" default:"auto" help:"Queries answered at a time; others wait. auto: 16, fewer when --memory is below 1GiB (here ${queries})."`
	MaxWaitingQueries int             `name:"max-waiting-queries" env:"ETUDE_MAX_WAITING_QUERIES" default:"1000" help:"Queries that wait; when there are more, clients are told to retry."`
	TempoStructure    bool            `name:"tempo-structure" env:"ETUDE_TEMPO_STRUCTURE" help:"Let TraceQL's structural operators relate spans only below a root that has arrived, as Tempo does. By default the ids of the spans alone decide, so that a trace that is still running can be asked."`
}

// Validate is called with the flags read.
func (l *Limits) Validate() error {
	switch {
	case l.MaxQueryTime <= 0:
		return fmt.Errorf("--max-query-time %s: want more than 0", l.MaxQueryTime)
	case l.MaxInFlight == 0:
		return errors.New("--max-in-flight 0: want more than 0, or auto")
	case l.MaxTraceSpans < 0:
		return fmt.Errorf("--max-trace-spans %d: want 0 or more", l.MaxTraceSpans)
	case l.MaxWaitingQueries < 1:
		return fmt.Errorf("--max-waiting-queries %d: want at least 1", l.MaxWaitingQueries)
	}
	return errors.Join(l.spanLimits.check(), l.blockFlags.check())
}

// DirFor is where the data are kept; without --data-dir each port offset has its own place.
func (l *Limits) DirFor(offset int) (string, error) {
	if l.DataDir != "" {
		return l.DataDir, nil
	}
	return defaultDataDir(offset)
}

// Run opens the storage first and the listeners last; at the end the listeners
// close first and the storage last.
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
		took.Milliseconds(), b.held().Spans, dir, &c.Retention, &c.MaxDisk, c.WALSync, c.blockFlags.said())
	fmt.Fprintf(p.Stdout, "lives in memory of %s: --head-max-bytes %s --max-in-flight %s --max-queue %s --max-query-memory %s --max-queries %s\n",
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
	cache   *block.Cache // of what queries read from blocks; nil without blocks
	receive *receive.Server
	servers []*http.Server
	dir     string       // of the data
	api     http.Handler // what the API's port answers, without its door
	urls    []string     // API, page, Prometheus
	failed  chan error

	priority   store.Priority // of queries over writes, in all stores
	queries    *query.Engine
	telemetry  *telemetry.Telemetry
	observer   store.Observer         // of the stores; the telemetry unless set before
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
	b.self.opened(began, opened, b.held())
	b.queries = query.NewForTenants(b.stores, b.queryOptions()) // it tells b.self
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
		MaxTraceSpans: int(orNone(int64(c.MaxTraceSpans))), MaxConcurrent: int(c.MaxQueries), MaxWaiting: c.MaxWaitingQueries, TempoStructure: c.TempoStructure,
		Running: b.priority.Query, Observer: queryObserver{b.telemetry, b.self}}
	return o
}

// orNone turns a flag's 0, which lifts a limit, into an option's -1.
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

// status are the lines of /status about the data.
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

// Env are the variables by which `up` tells the backend the links of the whole
// demo, and where the edge's dashboard is.
func Env(info page.Info, dashboard string) []string {
	text, _ := json.Marshal(info) // strings only
	return []string{infoEnv + "=" + string(text), dashboardEnv + "=" + dashboard}
}

// pageInfo is what `up` passed on, or the backend's own links.
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

// drain bounds how long queries in flight may take at the end, and how long
// requests with spans may.
const drain = 500 * time.Millisecond

// close stops what is open, listeners first and storage last. Queries end before
// receiving does: the backend's own spans may arrive that way.
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

// LinksOf are the links to the listeners of a backend.
func LinksOf(a *listen.Backend, f *access.Flags, version string) page.Info {
	url := func(listener, addrs string) string { return listen.BrowserURL(f.Scheme(listener), addrs) }
	return page.Info{Version: version, Links: page.Links{
		API: url("api", a.APIAddr), Page: url("page", a.PageAddr), Prometheus: url("prometheus", a.PrometheusAddr) + "/",
		OTLPGRPC: url("otlp-grpc", a.OTLPGRPCAddr), OTLPHTTP: url("otlp-http", a.OTLPHTTPAddr), Jaeger: url("jaeger", a.JaegerAddr),
	}}
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
