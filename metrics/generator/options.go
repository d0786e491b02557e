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

// Source provides spans. Head returns the Tables that are being filled with new spans, newest last, each while
// the source has it. It must not return Tables that were read back from disk. The returned Views never change.
type Source interface{ Head() []*trace.View }

// Processor names a part of the generator, as in Tempo's configuration.
type Processor string

// The processors. The three that begin with span-metrics- are subsets of SpanMetrics.
const (
	SpanMetrics        Processor = "span-metrics"
	SpanMetricsCount   Processor = "span-metrics-count"
	SpanMetricsLatency Processor = "span-metrics-latency"
	SpanMetricsSize    Processor = "span-metrics-size"
	ServiceGraphs      Processor = "service-graphs"
	HostInfo           Processor = "host-info"
)

var processors = []Processor{SpanMetrics, SpanMetricsCount, SpanMetricsLatency, SpanMetricsSize, ServiceGraphs, HostInfo}

// Native is the kind of histograms.
type Native string

// Classic histograms have one series per bucket. Native histograms have one series, with buckets that adapt to
// the values.
const (
	Classic    Native = "classic"
	NativeOnly Native = "native"
	Both       Native = "both"
)

// Options of a generator. Zero values mean the defaults, which are Tempo's unless a comment says otherwise.
type Options struct {
	Source Source
	// Appended returns the number of spans that the source has accepted so far, without those that its Tables
	// had from the start. With it the generator computes how many spans the source dropped before they were
	// read; nil means that the generator does not know.
	Appended func() int64
	Out      storage.AppendableV2
	Ready    <-chan struct{} // closed when Out accepts samples; nil: from the start
	Logger   *slog.Logger    // default: discards

	Processors     []Processor   // default: none, which computes nothing
	Interval       time.Duration // between collections; 5 s (Tempo: 15 s)
	Slack          time.Duration // maximum difference between a span's end and its arrival; 30 s
	StaleAfter     time.Duration // series without a span for this long are removed; 15 min
	ExternalLabels map[string]string
	// Instance is the value of the label __metrics_gen_instance; default: the host's name.
	Instance string

	MaxSeries        int         // active series, shared by services; 0: no limit
	MaxLabelValues   int         // values of one label within one service, and services; 0: no limit
	Shared           *quota.Pool // pool of series that generators share; nil: none
	Name             string      // of the generator in Shared
	ExemplarTraceID  string      // label of an exemplar; traceID
	NativeHistograms Native      // Classic
	SpanMetrics      SpanMetricsOptions
	ServiceGraph     ServiceGraphOptions
	HostIdentifiers  []string // resource attributes, the first present one is used; k8s.node.name, host.id
	HostMetric       string   // traces_host_info
}

// SpanMetricsOptions are the options of span metrics.
type SpanMetricsOptions struct {
	Buckets    []float64 // seconds; 2 ms doubling up to 16.384 s
	Dimensions []string  // attributes of the resource or the span that become labels
	Mappings   []Mapping
	// Intrinsic labels to leave out, and status_message to include.
	NoService, NoSpanName, NoSpanKind, NoStatusCode bool
	StatusMessage                                   bool
	Filters                                         []Policy

	MultiplierKey        string // attribute with the sampling ratio of a span
	TracestateMultiplier bool   // prefer the ratio in the W3C trace state

	TargetInfo         bool // traces_target_info, and labels job and instance
	NoInstance         bool // leave out the label instance
	TargetInfoExcluded []string
}

// Mapping makes one label from several attributes: it joins the values that are not empty.
type Mapping struct {
	Name   string
	Source []string
	Join   string
}

// ServiceGraphOptions are the options of the service graph.
type ServiceGraphOptions struct {
	Buckets    []float64     // seconds; 0.1 doubling up to 12.8
	Dimensions []string      // attributes that become labels
	Prefix     bool          // each dimension becomes two labels: client_ and server_ before the name
	Wait       time.Duration // maximum wait for the other side of an edge; 10 s
	MaxEdges   int           // waiting edges, at most a third of them from one service; 30000 (Tempo: 10000)
	// PeerAttributes of a span name the other side when it sends no spans: peer.service, db.name, db.system,
	// db.system.name (Tempo: without the last).
	PeerAttributes []string
	// DatabaseAttributes mark a call to a database: db.namespace, db.name, db.system, db.system.name (Tempo:
	// without the last).
	DatabaseAttributes []string
	MessagingLatency   bool // traces_service_graph_request_messaging_system_seconds
	VirtualNode        bool // the label virtual_node
	Filters            []Policy
}

// setDefaults sets the options that are zero to their defaults.
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

// doubling returns n bounds, each twice the one before.
func doubling(first float64, n int) []float64 {
	bounds := make([]float64, n)
	for i := range bounds {
		bounds[i] = first * float64(uint(1)<<i)
	}
	return bounds
}

// check names the first mistake in the options.
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
			return fmt.Errorf("external label %q: a name has letters, digits and _, and does not begin with a digit", name)
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
			return fmt.Errorf("buckets of the %s: bound %d is %v: bounds must be seconds above 0 in increasing order, without +Inf", of, i+1, b)
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
