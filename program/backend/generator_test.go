package backend

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/tsdb"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	respb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"etude/internal/fs"
	"etude/internal/testkit"
	"etude/metrics/generator"
	"etude/store"
	"etude/telemetry"
)

func parseBackend(t *testing.T, args ...string) (*Command, error) {
	t.Helper()
	return defaultBackend(args...)
}

func TestHistogramKinds(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]generator.Native{"": generator.Both, "native,classic": generator.Both, "both": generator.Both,
		"native": generator.NativeOnly, "classic": generator.Classic, "classic,classic": generator.Classic} {
		args := []string{"--metrics.histograms=" + arg}
		if arg == "" {
			args = nil
		}
		c, err := parseBackend(t, args...)
		if err != nil {
			t.Fatal(err)
		}
		if o, err := c.Generator.options(); err != nil || o.NativeHistograms != want {
			t.Errorf("--metrics.histograms=%s: %q, error %v; want %q", arg, o.NativeHistograms, err, want)
		}
	}
}

func TestGeneratorFlagsAreChecked(t *testing.T) {
	t.Parallel()
	for want, arg := range map[string]string{
		`unknown processor "spans"`:                        "--metrics.processors=spans",
		`--metrics.omit-labels color: want some of serv`:   "--metrics.omit-labels=color",
		`--metrics.dimension-mapping "a": want LABEL=ATT`:  "--metrics.dimension-mapping=a",
		`--metrics.filter: filter "keep x=y": begins wit`:  "--metrics.filter=keep x=y",
		`--metrics.graph-filter: filter "include x=y": c`:  "--metrics.graph-filter=include x=y",
		`buckets of the span metrics: bound 2 is 1`:        "--metrics.buckets=2,1",
		`dimension "le": the label le has its own meaning`: "--metrics.graph-dimensions=le",
		`--metrics.histograms exact: want native, classic`: "--metrics.histograms=native,exact",
	} {
		c, err := parseBackend(t, arg)
		if err == nil {
			err = c.Generator.Check()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", arg, err, want)
		}
	}
}

// TestGeneratorFromStoreToDatabase: spans appended to a store are seen by a query
// of a Prometheus database, those of the time before are not.
func TestGeneratorFromStoreToDatabase(t *testing.T) {
	t.Parallel()
	open := func(files fs.FS) *store.Store {
		st, err := store.Open(store.Options{Dir: "data", FS: files})
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	files := fs.NewMem()
	st := open(files)
	appendSpans(t, st, 1, 100)
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	st = open(files)
	db, err := tsdb.Open(t.TempDir(), nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	c, err := parseBackend(t, "--metrics.interval=20ms")
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	o, err := c.Generator.optionsFor("", st, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	o.Out, o.Ready = db, ready
	run, err := runGenerator(o)
	if err != nil {
		t.Fatal(err)
	}
	appendSpans(t, st, 1001, 50)
	close(ready)
	testkit.Eventually(t, "the spans are counted", func() error {
		if got := run.Stats(); got.Spans != 50 || got.Collections < 2 || got.Missed != 0 {
			return fmt.Errorf("stats %+v", got)
		}
		return nil
	})
	appendSpans(t, st, 2001, 5)
	run.Close() // counts a last time
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1000, Timeout: time.Minute})
	q, err := engine.NewInstantQuery(t.Context(), db, nil, `traces_spanmetrics_calls_total{source="etude",service="shop"}`,
		time.Now().Add(time.Second)) // a collection right after another is dated some milliseconds ahead
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	vector, err := q.Exec(context.Background()).Vector()
	if err != nil || len(vector) != 1 || vector[0].F != 55 {
		t.Errorf("calls %v, error %v; want 55", vector, err)
	}
}

func appendSpans(t *testing.T, st *store.Store, first, n int) {
	t.Helper()
	ss := &tracepb.ScopeSpans{}
	for i := range n {
		now := uint64(time.Now().UnixNano())
		ss.Spans = append(ss.Spans, &tracepb.Span{TraceId: append(make([]byte, 15), 1), SpanId: binary.BigEndian.AppendUint64(nil, uint64(first+i)),
			Name: "op", StartTimeUnixNano: now - 1e6, EndTimeUnixNano: now})
	}
	payload, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{ss}, Resource: &respb.Resource{
		Attributes: []*common.KeyValue{{Key: "service.name", Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: "shop"}}}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Append(t.Context(), payload); err != nil {
		t.Fatal(err)
	}
}

// TestGeneratorSamplesAreClean holds the generator's counters to promtool's rules.
func TestGeneratorSamplesAreClean(t *testing.T) {
	t.Parallel()
	h := telemetry.New(func(yield func(telemetry.Sample)) {
		generatorSamples("t1", generator.Stats{Dropped: map[string]int64{"invalid_utf8": 1}}, yield)
	}).Metrics()
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	if n := testkit.CheckPromised(t, filepath.Join("..", ".."), answer.Body.String(), "generator"); n < 3 {
		t.Errorf("only %d metrics are promised", n)
	}
	problems, err := promlint.New(answer.Body).Lint()
	if err != nil || len(problems) > 0 || answer.Code != http.StatusOK {
		t.Errorf("status %d, problems %v, error %v", answer.Code, problems, err)
	}
}
