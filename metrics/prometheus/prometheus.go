package prometheus

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/notifications"
)

// Options of a Prometheus.
type Options struct {
	Dir string // data directory; it must belong to this process alone

	// Config is a configuration in Prometheus' format. ConfigFile, if set, is read instead, and again at each
	// Reload.
	Config     []byte
	ConfigFile string

	// Hosts serve requests to targets of the configuration inside this process, by the target's "host:port". A
	// nil handler means this Prometheus itself. Labels do not change.
	Hosts map[string]http.Handler

	// RemoteWrite are URLs to which every sample and exemplar is also sent. A user and a password in them
	// become basic authentication.
	RemoteWrite []string
	// SentLabels distinguish the samples sent to RemoteWrite from the remote end's own series and from those of
	// other senders: both may have a job prometheus at localhost:9090. External labels in the configuration
	// take precedence.
	SentLabels map[string]string

	// Retention and MaxDisk limit the age and the bytes of the data, unless the configuration has its own
	// limits; 0 means no limit.
	Retention time.Duration
	MaxDisk   int64

	// Receiver lets other processes write to Handler: remote write and OTLP.
	Receiver bool
	// MaxReceivedSeries limits the series of other processes, by Receiver and AppendOTLP together; 0 means no
	// limit.
	MaxReceivedSeries int

	Addr      string       // address at which Handler is served, "host:port", for links in its answers
	Lifecycle bool         // whether POST /-/reload works
	UI        http.Handler // answers /, /graph, /query and every other path; nil lists the endpoints

	// Logger gets warnings and errors.
	Logger *slog.Logger
}

// Prometheus is a running Prometheus. Its methods are safe for concurrent use at any time.
type Prometheus struct {
	options Options
	log     *slog.Logger
	birth   time.Time
	handler http.Handler
	hosts   *hosts
	notes   *notifications.Notifications
	own     *ownMetrics

	registry atomic.Pointer[client.Registry] // of the storage that is open or being opened
	stats    atomic.Pointer[tsdb.DBStats]    // of the same storage
	config   atomic.Pointer[config.Config]   // the applied one
	running  atomic.Pointer[server]          // nil before the start and after the end
	waiting  atomic.Pointer[error]           // why it does not run yet, after an error
	stopping atomic.Bool

	applying sync.Mutex // held while a configuration is loaded or applied
	cancel   context.CancelFunc
	started  chan struct{} // closed when the start has ended, successfully or not
	wake     chan struct{} // closed when a server runs
}

// Open checks the configuration and returns at once. It opens the storage in the background; see Ready.
func Open(o Options) (*Prometheus, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Prometheus{options: o, log: slog.New(warnings{o.Logger.Handler()}), birth: time.Now().UTC(),
		own: newOwnMetrics(), started: make(chan struct{}), wake: make(chan struct{})}
	cfg, err := p.load()
	if err != nil {
		return nil, err
	}
	p.config.Store(cfg)
	p.freshRegistry()
	p.notes = notifications.NewNotifications(16, nil)
	p.notes.AddNotification(notifications.StartingUp)
	p.handler = p.routes()
	handlers := maps.Clone(o.Hosts)
	for name, handler := range handlers {
		if handler == nil {
			handlers[name] = p.handler
		}
	}
	p.hosts = newHosts(handlers, p.log)
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	go p.start(ctx)
	return p, nil
}

// retryPause is the time between two attempts to start, for example while the disk is full.
const retryPause = 5 * time.Second

// start opens the storage and starts the other parts. It retries until it succeeds or Close is called, and logs
// each cause of failure once.
func (p *Prometheus) start(ctx context.Context) {
	defer close(p.started)
	for last := ""; ctx.Err() == nil; {
		s, err := p.startServer()
		if err == nil {
			p.waiting.Store(nil)
			p.running.Store(s)
			close(p.wake)
			p.notes.DeleteNotification(notifications.StartingUp)
			return
		}
		p.waiting.Store(&err)
		if err.Error() != last {
			last = err.Error()
			p.log.Error("start the storage of metrics; trying again", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
}

// Ready returns nil when every part runs, otherwise the part that does not.
func (p *Prometheus) Ready() error {
	if p.stopping.Load() {
		return errors.New("stopping")
	}
	if p.running.Load() != nil {
		return nil
	}
	if err := p.waiting.Load(); err != nil {
		return *err
	}
	return errors.New("starting: the storage is being opened")
}

// Handler serves Prometheus' HTTP API, its own metrics at /metrics, and its state below /-/. It sends no CORS
// headers and no profiles.
func (p *Prometheus) Handler() http.Handler { return p.handler }

// Reload reads the configuration again. If the new one is wrong or cannot be applied, Reload returns an error
// and keeps the old one.
func (p *Prometheus) Reload() error {
	err := p.reload()
	p.own.loaded(err)
	if err != nil {
		p.notes.AddNotification(notifications.ConfigurationUnsuccessful)
		return err
	}
	p.notes.DeleteNotification(notifications.ConfigurationUnsuccessful)
	return nil
}

func (p *Prometheus) reload() error {
	p.applying.Lock()
	defer p.applying.Unlock()
	cfg, err := p.load()
	if err != nil {
		return err
	}
	s := p.running.Load()
	if s == nil {
		if p.stopping.Load() {
			return errors.New("reload the configuration: stopping")
		}
		p.config.Store(cfg) // start applies it
		return nil
	}
	former := p.config.Load()
	if err := s.apply(cfg); err != nil {
		return errors.Join(err, s.apply(former))
	}
	p.config.Store(cfg)
	return nil
}

// Close ends the scrapes, sends the waiting samples to the remote ends, for at most a few seconds, and closes
// the storage. The caller must have stopped appending.
func (p *Prometheus) Close() error {
	if p.stopping.Swap(true) {
		return nil
	}
	p.notes.AddNotification(notifications.ShuttingDown)
	p.cancel()
	<-p.started
	defer p.hosts.stop()
	p.applying.Lock()
	defer p.applying.Unlock()
	if s := p.running.Swap(nil); s != nil {
		return s.close()
	}
	return nil
}

// warnings passes on only warnings and errors, because Prometheus logs much about its ordinary work.
type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}

func (w warnings) WithAttrs(a []slog.Attr) slog.Handler { return warnings{w.Handler.WithAttrs(a)} }
func (w warnings) WithGroup(name string) slog.Handler   { return warnings{w.Handler.WithGroup(name)} }
