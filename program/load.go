package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"etude/internal/door"
	"etude/internal/histogram"
	"etude/program/access"
	"etude/program/listen"
	"etude/program/proc"
	"etude/program/supervise"
)

type loadCmd struct {
	listen.Offset
	access.Client `group:"client"`
	URL           string        `arg:"" optional:"" help:"URL to send requests to (default: the edge on port 80 of this machine, or on 8000 if it uses that port instead)."`
	Host          string        `default:"uservice3.localhost" help:"Host header; the edge chooses the service by it."`
	Rate          float64       `default:"10" help:"Requests a second."`
	Count         int           `short:"n" help:"Number of requests to send."`
	Duration      time.Duration `short:"d" default:"10s" help:"Time to send requests, without --count."`
	Concurrency   int           `default:"512" help:"Maximum number of concurrent requests; further ones are counted as skipped."`
	Timeout       time.Duration `default:"30s" help:"Maximum time of one request."`
}

// Run starts requests by the clock, without waiting for earlier answers. So a slow server gets no less load,
// and the measured latencies include the waiting.
func (c *loadCmd) Run(p *proc.Proc) error {
	if c.URL == "" {
		c.URL = c.findEdge(p.Ctx)
	}
	if err := c.check(); err != nil {
		return err
	}
	total := c.Count
	if total == 0 {
		total = max(1, int(c.Rate*c.Duration.Seconds()))
	}
	fmt.Fprintf(p.Stdout, "Sending %d requests to %s (Host: %s) at %g a second.\n", total, c.URL, c.Host, c.Rate)
	client, err := c.HTTPClient(&http.Transport{MaxIdleConnsPerHost: c.Concurrency, MaxConnsPerHost: c.Concurrency}, door.Query)
	if err != nil {
		return err
	}
	client.Timeout = c.Timeout
	r := &loadRun{cmd: c, client: client, begin: time.Now(), failures: map[string]int{}, slots: make(chan struct{}, c.Concurrency)}
	sent := r.drive(p, total)
	return r.summary(p.Stdout, sent)
}

// findEdge returns the URL of the edge that `up` started.
func (c *loadCmd) findEdge(ctx context.Context) string {
	addr := listen.Loopback(listen.PortEdge + c.PortOffset)
	if fallback := listen.Loopback(listen.PortEdgeFallback + c.PortOffset); !supervise.Accepts(addr)(ctx) && supervise.Accepts(fallback)(ctx) {
		addr = fallback
	}
	return "http://" + addr + "/"
}

func (c *loadCmd) check() error {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil:
		return fmt.Errorf("read URL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("URL %q: want http://HOST:PORT/", c.URL)
	case c.Rate <= 0 || c.Rate > 1e6:
		return fmt.Errorf("--rate %g: want more than 0 and at most 1000000", c.Rate)
	case c.Count < 0 || c.Duration <= 0:
		return errors.New("--count and --duration must not be negative")
	case c.Concurrency < 1:
		return errors.New("--concurrency must be at least 1")
	}
	return nil
}

type loadRun struct {
	cmd    *loadCmd
	client *http.Client
	begin  time.Time
	slots  chan struct{}
	wait   sync.WaitGroup

	mu       sync.Mutex
	took     histogram.Durations // of answers below 500
	failures map[string]int
	skipped  int
}

func (r *loadRun) drive(p *proc.Proc, total int) (sent int) {
	progress := time.NewTicker(time.Second)
	defer progress.Stop()
	for sent < total && p.Ctx.Err() == nil {
		due := r.begin.Add(time.Duration(float64(sent) / r.cmd.Rate * float64(time.Second)))
		timer := time.NewTimer(time.Until(due))
		select {
		case <-p.Ctx.Done():
		case <-progress.C:
			r.progress(p.Stdout, sent)
		case <-timer.C:
			r.launch(p.Ctx)
			sent++
		}
		timer.Stop()
	}
	r.finish(p, progress.C, sent)
	return sent
}

// finish waits for the outstanding answers.
func (r *loadRun) finish(p *proc.Proc, tick <-chan time.Time, sent int) {
	done := make(chan struct{})
	go func() { r.wait.Wait(); close(done) }()
	for {
		select {
		case <-done:
			return
		case <-tick:
			r.progress(p.Stdout, sent)
		}
	}
}

func (r *loadRun) launch(ctx context.Context) {
	select {
	case r.slots <- struct{}{}:
	default:
		r.mu.Lock()
		r.skipped++
		r.mu.Unlock()
		return
	}
	r.wait.Go(func() {
		begin := time.Now()
		err := r.request(ctx)
		took := time.Since(begin)
		<-r.slots
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil {
			r.failures[err.Error()]++
			return
		}
		r.took.Add(took)
	})
}

func (r *loadRun) request(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.cmd.URL, nil)
	if err != nil {
		return err
	}
	req.Host = r.cmd.Host
	resp, err := r.client.Do(req)
	if err != nil {
		return errors.New(plainCause(err))
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return fmt.Errorf("read answer: %s", plainCause(err))
	}
	if resp.StatusCode >= 400 {
		return errors.New(resp.Status)
	}
	return nil
}

// plainCause removes the URL from an error, so that equal causes count as one.
func plainCause(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}

func (r *loadRun) progress(w io.Writer, sent int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	failed := 0
	for _, n := range r.failures {
		failed += n
	}
	fmt.Fprintf(w, "%5.0fs  %d sent, %d answered, %d failed, %d under way\n",
		time.Since(r.begin).Seconds(), sent, r.took.Count(), failed, len(r.slots))
}

func (r *loadRun) summary(w io.Writer, sent int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	elapsed := time.Since(r.begin)
	fmt.Fprintf(w, "\n%d sent in %.1f s, %d answered", sent, elapsed.Seconds(), r.took.Count())
	if r.skipped > 0 {
		fmt.Fprintf(w, ", %d skipped because %d were under way", r.skipped, r.cmd.Concurrency)
	}
	fmt.Fprintln(w)
	for _, reason := range sortedKeys(r.failures) {
		fmt.Fprintf(w, "  %6d failed: %s\n", r.failures[reason], reason)
	}
	if r.took.Count() == 0 {
		return errors.New("no request was answered; is the edge running? (etude up)")
	}
	fmt.Fprintln(w, "\nlatency")
	for _, q := range []struct {
		name string
		at   float64
	}{{"min", 0}, {"p50", .5}, {"p90", .9}, {"p99", .99}, {"max", 1}} {
		took := r.took.Quantile(q.at)
		fmt.Fprintf(w, "  %s  %10s  %s\n", q.name, took.Round(10*time.Microsecond), bar(took, r.took.Max()))
	}
	if len(r.failures) > 0 {
		return proc.ErrQuiet
	}
	return nil
}

func bar(v, most time.Duration) string {
	return strings.Repeat("=", int(40*v/max(most, 1)))
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
