package prometheus

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"

	"etude/internal/testkit"
)

const patience = 20 * time.Second

// instance is a Prometheus with a listener of its own.
type instance struct {
	*Prometheus
	t    *testing.T
	url  string
	logs *lines
}

// lines are what was logged.
type lines struct {
	mu sync.Mutex
	strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Builder.String()
}

// run opens a Prometheus that scrapes nothing unless the options say so, and
// waits until it runs.
func run(t *testing.T, o Options) *instance {
	t.Helper()
	in := &instance{t: t, logs: &lines{}}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Logger = slog.New(slog.NewTextHandler(in.logs, nil))
	s := httptest.NewUnstartedServer(nil)
	o.Addr = s.Listener.Addr().String()
	p, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	in.Prometheus = p
	s.Config.Handler = p.Handler()
	s.Start()
	in.url = s.URL
	t.Cleanup(func() {
		s.Close()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("logged:\n%s", in.logs)
		}
	})
	select {
	case <-p.Started():
	case <-time.After(patience):
		t.Fatalf("not running within %s: %v", patience, p.Ready())
	}
	return in
}

// visitor is a client of these tests alone: the default one has its idle
// connections closed whenever a test server closes, also that of another test.
var visitor = &http.Client{Transport: &http.Transport{}}

// client is Prometheus' own client of its API.
func (in *instance) client() v1.API {
	in.t.Helper()
	c, err := api.NewClient(api.Config{Address: in.url})
	if err != nil {
		in.t.Fatal(err)
	}
	return v1.NewAPI(c)
}

// put appends one sample, and an exemplar when there is a trace.
func (in *instance) put(series string, at time.Time, v float64, trace string) {
	in.t.Helper()
	l := parseLabels(in.t, series)
	app := in.Appendable().Appender(context.Background())
	ref, err := app.Append(0, l, at.UnixMilli(), v)
	if err != nil {
		in.t.Fatalf("append %s: %v", series, err)
	}
	if trace != "" {
		if _, err := app.AppendExemplar(ref, l, exemplar.Exemplar{Labels: labels.FromStrings("traceID", trace), Value: v, Ts: at.UnixMilli(), HasTs: true}); err != nil {
			in.t.Fatalf("append an exemplar of %s: %v", series, err)
		}
	}
	if err := app.Commit(); err != nil {
		in.t.Fatal(err)
	}
}

func parseLabels(t *testing.T, series string) labels.Labels {
	t.Helper()
	l, err := promQL.ParseMetric(series)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// ask evaluates an expression now and returns the result as text.
func (in *instance) ask(expression string) string {
	in.t.Helper()
	v, _, _, err := in.client().Query(context.Background(), expression, time.Now())
	if err != nil {
		in.t.Fatalf("%s: %v", expression, err)
	}
	return v.String()
}

// eventually polls until f tells nothing wrong.
func eventually(t *testing.T, what string, f func() string) {
	t.Helper()
	testkit.Eventually(t, what, func() error {
		if wrong := f(); wrong != "" {
			return errors.New(wrong)
		}
		return nil
	})
}
