package backend

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"etude/api"
	"etude/internal/door"
	"etude/mcp"
	"etude/page"
	"etude/program/control"
	"etude/program/listen"
)

// openHTTP opens the listeners first, because Prometheus needs its own address and the API's.
func (b *backendRun) openHTTP(dir string) error {
	var listeners []*door.Listener
	for _, l := range []struct{ name, addrs string }{
		{"api", b.cmd.APIAddr}, {"page", b.cmd.PageAddr}, {"prometheus", b.cmd.PrometheusAddr},
	} {
		listener, err := b.doors.Listen(l.name, l.addrs)
		if err != nil {
			return errors.Join(err, closeAll(listeners))
		}
		listeners = append(listeners, listener)
	}
	answers := b.answers()
	b.api = answers
	if !b.cmd.Metrics.Off {
		if err := b.openPrometheus(dir, answers, listeners[2].String()); err != nil {
			return errors.Join(err, closeAll(listeners))
		}
	}
	if err := b.openGenerators(); err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	b.serve("api", listeners[0], answers, "/ready", "/live")
	ofPage := b.cmd.ofPageTenant(answers)
	teach, err := b.teach(ofPage)
	if err != nil {
		return errors.Join(err, closeAll(listeners))
	}
	b.serve("page", listeners[1], page.Handler(page.Options{API: ofPage, Teach: teach, Walk: control.Parent() != nil,
		Prometheus: b.promQL(), Info: b.cmd.pageInfo(b.build.Version)}))
	b.serve("prometheus", listeners[2], b.metricsHandler(), "/-/healthy", "/-/ready")
	return nil
}

func closeAll(listeners []*door.Listener) error {
	var errs []error
	for _, l := range listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// answers handles every request to the API's port.
func (b *backendRun) answers() http.Handler {
	answers := b.watched(api.New(api.Options{Engine: b.queries, Multitenancy: b.cmd.Multitenancy, Ready: b.isReady, Status: b.status,
		Version: b.build.Version, Revision: b.build.Revision, Logger: b.log}))
	mux := http.NewServeMux()
	mux.Handle("/", answers)
	mux.Handle("GET /metrics", b.telemetry.Metrics())
	mux.Handle("/api/mcp", mcp.Handler(answers, mcp.Options{PageURL: listen.BrowserURL(b.cmd.Scheme("page"), b.cmd.PageAddr), Version: b.build.Version, Logger: b.log}))
	return mux
}

// serve serves the requests that pass the access checks. The open paths need no token.
func (b *backendRun) serve(name string, l *door.Listener, handler http.Handler, open ...string) {
	s := &http.Server{Handler: b.doors.Guard(name, l, handler, open...), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 448 << 10, // the longest query, each of its bytes written as %41, and some room
		ErrorLog:       slog.NewLogLogger(b.log.Handler(), slog.LevelDebug)}
	// gRPC clients of the API use HTTP/2, with TLS and without.
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	b.servers = append(b.servers, s)
	b.urls = append(b.urls, listen.BrowserURL(b.cmd.Scheme(name), l.String()))
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			b.failed <- fmt.Errorf("serve %s: %w", l, err)
		}
	}()
}
