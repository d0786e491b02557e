package prometheus

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
)

// ordinary is another Prometheus: its storage and its own receiver, which drops all
// samples of a request in form 1 of which one is bad.
type ordinary struct {
	t   *testing.T
	db  *tsdb.DB
	url string
	bad atomic.Int64 // requests that were refused
}

func newOrdinary(t *testing.T, forms ...remoteapi.WriteMessageType) *ordinary {
	t.Helper()
	db, err := tsdb.Open(t.TempDir(), nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	o := &ordinary{t: t, db: db}
	h := remote.NewWriteHandler(slog.New(slog.DiscardHandler), client.NewRegistry(), db, forms, false, false)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&statusSpy{w, &o.bad}, r)
	}))
	t.Cleanup(s.Close)
	o.url = s.URL
	return o
}

type statusSpy struct {
	http.ResponseWriter
	bad *atomic.Int64
}

func (s *statusSpy) WriteHeader(status int) {
	if status/100 == 4 {
		s.bad.Add(1)
	}
	s.ResponseWriter.WriteHeader(status)
}

func (o *ordinary) put(series string, at time.Time, v float64) {
	o.t.Helper()
	app := o.db.Appender(context.Background())
	if _, err := app.Append(0, parseLabels(o.t, series), at.UnixMilli(), v); err != nil {
		o.t.Fatal(err)
	}
	if err := app.Commit(); err != nil {
		o.t.Fatal(err)
	}
}

func (o *ordinary) ask(query string) float64 {
	o.t.Helper()
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, Parser: promQL})
	q, err := engine.NewInstantQuery(context.Background(), o.db, nil, query, time.Now().Add(time.Minute))
	if err != nil {
		o.t.Fatal(err)
	}
	defer q.Close()
	v, err := q.Exec(context.Background()).Vector()
	if err != nil || len(v) != 1 {
		return 0
	}
	return v[0].F
}

// TestAllSamplesReachAnOrdinaryPrometheus: it scrapes itself under the same job and
// instance as the sender. Every sample arrives, the self-scrape's too.
func TestAllSamplesReachAnOrdinaryPrometheus(t *testing.T) {
	t.Parallel()
	for name, forms := range map[string]remoteapi.MessageTypes{
		"form 1 alone": {remoteapi.WriteV1MessageType}, "both": {remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to := newOrdinary(t, forms...)
			in := run(t, Options{RemoteWrite: []string{to.url}, SentLabels: map[string]string{"etude": "here:9090"}})
			const self = `up{job="prometheus",instance="localhost:9090"}`
			const n = 200
			now := time.Now().Add(time.Second) // the queue sends what is newer than its start
			for i := range n {
				at := now.Add(time.Duration(i) * 10 * time.Millisecond)
				to.put(self, at.Add(20*time.Second), 1) // its own is always newer
				in.put(self, at, 1, "")
				in.put(`calls_total{service="a"}`, at, float64(i), "")
			}
			eventually(t, "all samples arrive", func() string {
				calls, up := to.ask(`count_over_time(calls_total{etude="here:9090"}[5m])`), to.ask(`count_over_time(up{etude="here:9090"}[5m])`)
				if calls != n || up != n {
					return fmt.Sprintf("%v calls and %v self-scrapes of %d", calls, up, n)
				}
				return ""
			})
			if n := to.bad.Load(); n > 0 {
				t.Errorf("%d requests were refused", n)
			}
		})
	}
}

// TestABadSampleTakesNoOthersWithIt: two of many series collide with others at
// the end. Only those are left out, and counted; later requests are sent in two
// pieces, not in many.
func TestABadSampleTakesNoOthersWithIt(t *testing.T) {
	t.Parallel()
	to := newOrdinary(t, remoteapi.WriteV1MessageType)
	in := run(t, Options{RemoteWrite: []string{to.url}, SentLabels: map[string]string{"etude": "here"}})
	const n = 500
	now := time.Now().Add(time.Second)
	for _, name := range []string{"clash", "other_clash"} {
		to.put(name+`{etude="here"}`, now.Add(40*time.Second), 1)
	}
	for i := range n {
		at := now.Add(time.Duration(i) * 10 * time.Millisecond)
		in.put(`clash`, at, 1, "")
		in.put(fmt.Sprintf(`calls_total{n="%d"}`, i%40), at, float64(i), "0af7")
		in.put(`other_clash`, at, 1, "")
	}
	eventually(t, "the good samples arrive", func() string {
		if got := to.ask(`sum(count_over_time(calls_total[5m]))`); got != n {
			return fmt.Sprintf("%v of %d", got, n)
		}
		return ""
	})
	if to.bad.Load() == 0 {
		t.Error("nothing was refused: the test shows nothing")
	}
	if got := to.ask(`sum(count_over_time(clash[5m])) + sum(count_over_time(other_clash[5m]))`); got != 2 {
		t.Errorf("%v samples of the series that clash", got)
	}
	if got := to.bad.Load(); got > 60 {
		t.Errorf("%d requests were refused", got)
	}
	_, metrics := in.get("/metrics")
	if want := fmt.Sprintf("etude_metrics_remote_refused_samples_total{end=%q} %d\n", to.url, 2*n); !strings.Contains(metrics, want) {
		t.Errorf("/metrics lacks %s", want)
	}
	if got := in.logs.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "a remote end refused samples") {
		t.Errorf("logged %s", got)
	}
}

// TestRelayTakesOnlyItsOwn: another process of this machine cannot send by it.
func TestRelayTakesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	to := newOrdinary(t, remoteapi.WriteV1MessageType)
	in := run(t, Options{RemoteWrite: []string{to.url}})
	url := "http://" + in.running.Load().relay.listener.Addr().String() + "/0"
	for _, secret := range []string{"", "guess"} {
		req, _ := http.NewRequest("POST", url, strings.NewReader(string(writeV1(t, sampleOf{`forged`, time.Now(), 1}))))
		req.Header.Set(relaySecret, secret)
		resp, err := visitor.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("secret %q: %d", secret, resp.StatusCode)
		}
	}
	if got := to.ask(`forged`); got != 0 {
		t.Error("it was sent")
	}
	if c, err := in.client().Config(context.Background()); err != nil || strings.Contains(c.YAML, "127.0.0.1:"+url[len("http://127.0.0.1:"):]) || !strings.Contains(c.YAML, to.url) {
		t.Errorf("the configuration does not show the real end: %v %s", err, c.YAML)
	}
}
