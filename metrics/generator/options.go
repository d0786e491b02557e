package generator

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/storage"

	"etude/metrics/quota"
	"etude/trace"
)

// Source feeds spans: Head returns the Tables that have been filled with new spans,
// the newest last, each for as long as the source holds it. Tables that were read
// back from disk must not be among them. Nothing that is returned changes
// afterwards.
type Source interface{ Head() []*trace.View }

// Processor names a part of the generator, as Tempo's configuration does.
type Processor string

// The processors. The three of a kind are subsets of SpanMetrics.
const (
	SpanMetrics        Processor = "span-metrics"
	SpanMetricsCount   Processor = "span-metrics-count"
	SpanMetricsLatency Processor = "span-metrics-latency"
	SpanMetricsSize    Processor = "span-metrics-size"
	ServiceGraphs      Processor = "service-graphs"
	HostInfo           Processor = "host-info"
)

var processors = []Processor{SpanMetrics, SpanMetricsCount, SpanMetricsLatency, SpanMetricsSize, ServiceGraphs, HostInfo}

// Native says how histograms are kept.
type Native string

// Classic histograms have a series for each bucket, native ones one series with
// buckets that follow the values.
const (
	Classic    Native = "classic"
	NativeOnly Native = "native"
	Both       Native = "both"
)

// Options of a generator. Zero values mean the defaults, which are Tempo's
// unless said otherwise.
type Options struct {
	Source Source
	// Appended is the number of spans that the source has accepted so far, those
	// that its Tables had from the start left out. With it the generator knows
	// how many left before it had read them; nil means it does not.
	Appended func() int64
	Out      storage.AppendableV2
	Ready    <-chan struct{} // closed when Out takes samples; nil: it does from the start
	Logger   *slog.Logger    // discards

	Processors     []Processor   // none: nothing is computed
	Interval       time.Duration // between collections; 5 s (Tempo: 15 s)
	Slack          time.Duration // spans that end further from their arrival are left out; 30 s
	StaleAfter     time.Duration // series without a span for so long are removed; 15 min
	ExternalLabels map[string]string
	// Instance is the value of the label __metrics_gen_instance; the host's name.
	Instance string

	MaxSeries        int         // active series, which services share; 0 for any
	MaxLabelValues   int         // values of one label within one service, and services; 0 for any
	Shared           *quota.Pool // of series, which generators share; nil for none
	Name             string      // of the generator in Shared
	ExemplarTraceID  string      // label of an exemplar; traceID
	NativeHistograms Native      // Classic
	SpanMetrics      SpanMetricsOptions
	ServiceGraph     ServiceGraphOptions
	HostIdentifiers  []string // resource attributes, the first present one counts; k8s.node.name, host.id
	HostMetric       string   // traces_host_info
}

// SpanMetricsOptions are those of span metrics.
type SpanMetricsOptions struct {
	Buckets    []float64 // seconds; 2 ms doubling up to 16.384 s
	Dimensions []string  // attributes, of the resource or else of the span, that become labels
	Mappings   []Mapping
	// Intrinsic labels left out, and status_message included.
	NoService, NoSpanName, NoSpanKind, NoStatusCode bool
	StatusMessage                                   bool
	Filters                                         []Policy

	MultiplierKey        string // attribute with the ratio at which spans were sampled
	TracestateMultiplier bool   // take the ratio from the W3C trace state first

	TargetInfo         bool // traces_target_info, and labels job and instance
	NoInstance         bool // leave out the label instance
	TargetInfoExcluded []string
}

// Mapping makes one label of several attributes: the values that are not empty,
// joined.
type Mapping struct {
	Name   string
	Source []string
	Join   string
}

// ServiceGraphOptions are those of the service graph.
type ServiceGraphOptions struct {
	Buckets    []float64     // seconds; 0.1 doubling up to 12.8
	Dimensions []string      // attributes that become labels
	Prefix     bool          // dimensions are two labels: client_ and server_ before the name
	Wait       time.Duration // for the other side of an edge; 10 s
	MaxEdges   int           // edges that wait, a third of them of one service at most; 30000 (Tempo: 10000)
	// PeerAttributes of a span name the other side where it sends no spans:
	// peer.service, db.name, db.system, db.system.name (Tempo: without the last).
	PeerAttributes []string
	// DatabaseAttributes mark a call of a database: db.namespace, db.name, db.system,
	// db.system.name (Tempo: without the last).
	DatabaseAttributes []string
	MessagingLatency   bool // traces_service_graph_request_messaging_system_seconds
	VirtualNode        bool // the label virtual_node
	Filters            []Policy
}

// setDefaults sets the default of each option that is zero.
func (o *Options) setDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	orDefault(&o.Interval, 5*time.Second)
	orDefault(&o.Slack, 30*time.Second)
	orDefault(&o.StaleAfter, 15*time.Minute)
	orDefault(&o.ExemplarTraceID, "traceID")
	orDefault(&o.NativeHistograms, Classic)
	orDefault(&o.HostMetric, "traces_host_info")
	orDefault(&o.ServiceGraph.Wait, 10*time.Second)
	orDefault(&o.ServiceGraph.MaxEdges, 30000)
	if o.Instance == "" {
		o.Instance, _ = os.Hostname()
	}
	listOrDefault(&o.SpanMetrics.Buckets, doubling(0.002, 14))
	listOrDefault(&o.ServiceGraph.Buckets, doubling(0.1, 8))
	listOrDefault(&o.HostIdentifiers, []string{"k8s.node.name", "host.id"})
	listOrDefault(&o.ServiceGraph.PeerAttributes, []string{"peer.service", "db.name", "db.system", "db.system.name"})
	listOrDefault(&o.ServiceGraph.DatabaseAttributes, []string{"db.namespace", "db.name", "db.system", "db.system.name"})
}

func orDefault[T comparable](v *T, otherwise T) {
	var zero T
	if *v == zero {
		*v = otherwise
	}
}

func listOrDefault[T any](v *[]T, otherwise []T) {
	if len(*v) == 0 {
		*v = otherwise
	}
}

// doubling returns n bounds.
func doubling(first float64, n int) []float64 {
	bounds := make([]float64, n)
	for i := range bounds {
		bounds[i] = first * float64(uint(1)<<i)
	}
	return bounds
}

// check names the first thing wrong with the options.
func (o *Options) check() error {
	for _, p := range o.Processors {
		if !slices.Contains(processors, p) {
			return fmt.Errorf("unknown processor %q: want one of %s", p, join(processors))
		}
	}
	if !slices.Contains([]Native{Classic, NativeOnly, Both}, o.NativeHistograms) {
		return fmt.Errorf("unknown kind of histogram %q: want classic, native or both", o.NativeHistograms)
	}
	for _, d := range []time.Duration{o.Interval, o.Slack, o.StaleAfter, o.ServiceGraph.Wait} {
		if d < 0 {
			return fmt.Errorf("a duration of the generator is %s: want more than 0", d)
		}
	}
	for name := range o.ExternalLabels {
		if !isLabelName(name) {
			return fmt.Errorf("external label %q: a name has letters, digits and _, and begins with no digit", name)
		}
	}
	if err := checkBuckets("span metrics", o.SpanMetrics.Buckets); err != nil {
		return err
	}
	return checkBuckets("service graph", o.ServiceGraph.Buckets)
}

func checkBuckets(of string, bounds []float64) error {
	for i, b := range bounds {
		if !(b > 0) || b > 1e9 || i > 0 && b <= bounds[i-1] {
			return fmt.Errorf("buckets of the %s: bound %d is %v: bounds are seconds above 0, each above the one before, the last +Inf comes by itself", of, i+1, b)
		}
	}
	return nil
}

func join[T ~string](names []T) string {
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = string(n)
	}
	return strings.Join(texts, ", ")
}

func (o *Options) has(ps ...Processor) bool {
	return slices.ContainsFunc(ps, func(p Processor) bool { return slices.Contains(o.Processors, p) })
}
