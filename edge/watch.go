package edge

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is the time between the first event and the read: editors write a
	// file in several steps.
	settle = 50 * time.Millisecond

	// pollInterval is the time between reads on file systems that send no events,
	// such as some network and container mounts.
	pollInterval = 3 * time.Second
)

// watcher reloads the routes when the configuration file changes.
type watcher struct {
	path   string
	getenv func(string) string
	log    *slog.Logger
	use    func(*config)
	state  *configState
	seen   []byte // the content of the last read, valid or not

	unreadable bool // the last read failed
}

// configState is the dashboard's view of the configuration.
type configState struct {
	mu        sync.Mutex
	file      string
	loaded    time.Time
	reloads   int
	lastError string // of the file's current content; the routes in use are then older
}

func (s *configState) set(err error, reloaded bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastError = ""
	if err != nil {
		s.lastError = err.Error()
		return
	}
	s.loaded = time.Now()
	if reloaded {
		s.reloads++
	}
}

// run reloads the file after each change, until the context ends.
//
// It watches the directory, not the file: editors and Kubernetes replace a file by renaming another one, and a
// watch on the file would follow the old one. After any event it reads the file; only new content causes a
// reload.
func (w *watcher) run(ctx context.Context) {
	events, closeEvents := w.subscribe()
	defer closeEvents()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	var settled <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-events:
			if !ok {
				events = nil
			} else if settled == nil {
				settled = time.After(settle)
			}
		case <-settled:
			settled = nil
			w.check()
		case <-poll.C:
			w.check()
		}
	}
}

func (w *watcher) subscribe() (<-chan fsnotify.Event, func()) {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		w.log.Warn("watch configuration: reading it every few seconds instead", "error", err)
		return nil, func() {}
	}
	dirs := []string{filepath.Dir(w.path)}
	if real, err := filepath.EvalSymlinks(w.path); err == nil {
		dirs = append(dirs, filepath.Dir(real))
	}
	for _, dir := range dirs {
		if err := fs.Add(dir); err != nil {
			w.log.Warn("watch configuration: reading it every few seconds instead", "directory", dir, "error", err)
		}
	}
	go func() {
		for range fs.Errors { // an overflow; the next poll finds the missed change
		}
	}()
	return fs.Events, func() { _ = fs.Close() }
}

// check reads the file and, if it changed, loads it. An invalid configuration does not change the routes; check
// reports it once.
func (w *watcher) check() {
	text, err := os.ReadFile(w.path)
	if err != nil {
		if !w.unreadable {
			w.unreadable = true
			w.fail(fmt.Errorf("read configuration: %w", err))
		}
		return
	}
	if w.unreadable {
		w.unreadable, w.seen = false, nil
	}
	if bytes.Equal(text, w.seen) {
		return
	}
	w.seen = text
	c, err := loadConfig(w.path, text, w.getenv)
	if err != nil {
		w.fail(err)
		return
	}
	w.use(c)
	w.state.set(nil, true)
	w.log.Info("configuration reloaded", "file", w.path, "routers", len(c.routers), "services", len(c.services))
	logWarnings(w.log, c)
}

func (w *watcher) fail(err error) {
	w.state.set(err, false)
	w.log.Error("configuration not reloaded: the previous one stays in use", "error", err)
}

func logWarnings(log *slog.Logger, c *config) {
	for _, text := range c.warnings {
		log.Warn("configuration: " + text)
	}
}
