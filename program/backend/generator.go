package backend

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"etude/metrics/generator"
)

// GeneratorFlags control the metrics that the backend computes from spans. They have the names and defaults of
// Tempo's metrics-generator wherever Tempo has the same setting.
type GeneratorFlags struct {
	Processors  []string          `env:"PROCESSORS" default:"service-graphs,span-metrics" help:"Metrics to compute from spans: span-metrics (or its parts span-metrics-count, span-metrics-latency, span-metrics-size), service-graphs, host-info; or none."`
	Interval    time.Duration     `env:"INTERVAL" default:"5s" help:"Interval at which the computed metrics are stored."`
	Labels      map[string]string `name:"external-labels" env:"EXTERNAL_LABELS" default:"source=etude" mapsep:"," placeholder:"NAME=VALUE" help:"Labels to add to every computed metric, such as source=etude,cluster=demo."`
	TenantLabel string            `default:"tenant" help:"Label that holds the tenant of a computed metric, with --multitenancy."`
	MaxSeries   int               `name:"max-active-series" env:"MAX_ACTIVE_SERIES" default:"50000" help:"Maximum number of series computed from spans, and of new series in an hour. Half are reserved for the first series of each service; a service gets at most a third. Further label sets share one series with the label metric_overflow. 0 means no limit."`
	MaxTotal    int               `name:"max-total-series" env:"MAX_TOTAL_SERIES" default:"200000" help:"Maximum number of series computed from the spans of all tenants, with --multitenancy; tenants share it as services share --metrics.max-active-series. 0 means no limit."`
	MaxValues   int               `name:"max-label-values" env:"MAX_LABEL_VALUES" default:"500" help:"Maximum number of values of one label within one service, and of services; further values become __cardinality_overflow__. 0 means no limit."`
	StaleAfter  time.Duration     `default:"15m" help:"Time without a span after which a series ends."`
	Slack       time.Duration     `default:"30s" help:"Maximum difference between a span's end and its arrival; spans beyond it are not counted."`
	Histograms  []string          `env:"HISTOGRAMS" default:"native,classic" help:"Kinds of histograms: native (buckets adapt to the durations, quantiles within 5 %), classic (Tempo's buckets, each twice the one before), or both."`
	Exemplar    string            `name:"exemplar-label" default:"traceID" help:"Label of an exemplar that holds the trace id."`

	Dimensions    []string  `env:"DIMENSIONS" placeholder:"ATTRIBUTE" help:"Attributes of the resource or the span that become labels of span metrics; the resource's value comes first."`
	Mappings      []string  `name:"dimension-mapping" sep:"none" placeholder:"LABEL=ATTRIBUTE,...[;JOIN]" help:"Label made of several attributes, joined by JOIN (default /); may be repeated."`
	Buckets       []float64 `placeholder:"SECONDS" help:"Buckets of span durations (default: 0.002 doubling up to 16.384)."`
	Omit          []string  `name:"omit-labels" placeholder:"LABEL" help:"Labels to leave out of span metrics: any of service, span_name, span_kind, status_code."`
	StatusMessage bool      `help:"Add the status message as a label to span metrics."`
	Filters       []string  `name:"filter" sep:"none" placeholder:"POLICY" help:"Condition for spans to count in span metrics, such as 'include kind=SPAN_KIND_SERVER' or 'exclude name~^/health'; may be repeated, all must hold."`
	MultiplierKey string    `name:"span-multiplier-key" placeholder:"ATTRIBUTE" help:"Attribute that holds the sampling ratio of a span: each counts as 1/ratio."`
	Tracestate    bool      `name:"tracestate-multiplier" help:"Prefer the ratio in the W3C trace state (ot=th:...)."`
	TargetInfo    bool      `help:"Compute traces_target_info, and add the labels job and instance to span metrics."`
	NoInstance    bool      `name:"omit-instance" help:"Leave out the label instance."`
	TargetExclude []string  `name:"target-info-exclude" placeholder:"ATTRIBUTE" help:"Resource attributes to leave out of traces_target_info."`
	Hosts         []string  `name:"host-identifiers" default:"k8s.node.name,host.id" help:"Resource attributes that name a host in traces_host_info; the first one present is used."`

	Graph graphFlags `embed:"" prefix:"graph-"`
}

// graphFlags control the service graph.
type graphFlags struct {
	Dimensions []string      `placeholder:"ATTRIBUTE" help:"Attributes that become labels of the service graph."`
	Prefix     bool          `help:"Label both sides separately, as client_NAME and server_NAME; Grafana's node graph by namespace needs this."`
	Buckets    []float64     `placeholder:"SECONDS" help:"Buckets of request durations (default: 0.1 doubling up to 12.8)."`
	Wait       time.Duration `default:"10s" help:"Time that one side of a call waits for the other."`
	MaxEdges   int           `default:"30000" help:"Maximum number of calls that wait for their other side; a service gets at most a third."`
	Peers      []string      `name:"peer-attributes" default:"peer.service,db.name,db.system,db.system.name" help:"Span attributes that name the other side of a call when it sends no spans."`
	Databases  []string      `name:"database-attributes" default:"db.namespace,db.name,db.system,db.system.name" help:"Span attributes that mark a call to a database."`
	Messaging  bool          `name:"messaging-latency" help:"Compute the time from producer to consumer of messages."`
	Virtual    bool          `name:"virtual-node-label" help:"Add the label virtual_node, which names the side that sends no spans."`
	Filters    []string      `name:"filter" sep:"none" placeholder:"POLICY" help:"Condition for spans to count in the service graph; may be repeated, all must hold."`
}

// noProcessors is the value of --metrics.processors for none.
const noProcessors = "none"

// options returns the generator's options. An error names the flag.
func (f *GeneratorFlags) options() (o generator.Options, err error) {
	o = generator.Options{
		Interval: f.Interval, ExternalLabels: f.Labels, MaxSeries: f.MaxSeries, MaxLabelValues: f.MaxValues,
		StaleAfter: f.StaleAfter, Slack: f.Slack, ExemplarTraceID: f.Exemplar, HostIdentifiers: f.Hosts,
		SpanMetrics: generator.SpanMetricsOptions{
			Buckets: f.Buckets, Dimensions: f.Dimensions, StatusMessage: f.StatusMessage, MultiplierKey: f.MultiplierKey, TracestateMultiplier: f.Tracestate,
			TargetInfo: f.TargetInfo, NoInstance: f.NoInstance, TargetInfoExcluded: f.TargetExclude,
		},
		ServiceGraph: generator.ServiceGraphOptions{
			Buckets: f.Graph.Buckets, Dimensions: f.Graph.Dimensions, Prefix: f.Graph.Prefix, Wait: f.Graph.Wait, MaxEdges: f.Graph.MaxEdges,
			PeerAttributes: f.Graph.Peers, DatabaseAttributes: f.Graph.Databases, MessagingLatency: f.Graph.Messaging, VirtualNode: f.Graph.Virtual,
		},
	}
	for _, p := range f.Processors {
		if p != noProcessors {
			o.Processors = append(o.Processors, generator.Processor(p))
		}
	}
	if o.NativeHistograms, err = histogramKinds(f.Histograms); err != nil {
		return o, err
	}
	if err = f.omit(&o.SpanMetrics); err != nil {
		return o, err
	}
	for _, text := range f.Mappings {
		m, err := parseMapping(text)
		if err != nil {
			return o, err
		}
		o.SpanMetrics.Mappings = append(o.SpanMetrics.Mappings, m)
	}
	if o.SpanMetrics.Filters, err = parsePolicies("metrics.filter", f.Filters); err != nil {
		return o, err
	}
	o.ServiceGraph.Filters, err = parsePolicies("metrics.graph-filter", f.Graph.Filters)
	return o, err
}

// histogramKinds parses --metrics.histograms.
func histogramKinds(names []string) (generator.Native, error) {
	kinds := map[generator.Native]bool{}
	for _, name := range names {
		switch kind := generator.Native(name); kind {
		case generator.Classic, generator.NativeOnly:
			kinds[kind] = true
		case generator.Both:
			kinds[generator.Classic], kinds[generator.NativeOnly] = true, true
		default:
			return "", fmt.Errorf("--metrics.histograms %s: want native, classic, or native,classic", name)
		}
	}
	switch {
	case len(kinds) == 2:
		return generator.Both, nil
	case kinds[generator.NativeOnly]:
		return generator.NativeOnly, nil
	}
	return generator.Classic, nil
}

// Check checks the flags before the backend opens anything.
func (f *GeneratorFlags) Check() error {
	o, err := f.options()
	if err != nil {
		return err
	}
	if f.TenantLabel == "" { // the metrics of two tenants would be the same
		return errors.New("--metrics.tenant-label: want a name")
	}
	o.ExternalLabels = withLabel(o.ExternalLabels, f.TenantLabel, "")
	if err := o.Check(); err != nil {
		return fmt.Errorf("--metrics flags: %w", err)
	}
	return nil
}

func (f *GeneratorFlags) omit(o *generator.SpanMetricsOptions) error {
	labels := map[string]*bool{"service": &o.NoService, "span_name": &o.NoSpanName, "span_kind": &o.NoSpanKind, "status_code": &o.NoStatusCode}
	for _, name := range f.Omit {
		left, ok := labels[name]
		if !ok {
			return fmt.Errorf("--metrics.omit-labels %s: want some of %s", name, strings.Join(slices.Sorted(maps.Keys(labels)), ", "))
		}
		*left = true
	}
	return nil
}

// parseMapping reads LABEL=ATTRIBUTE,...[;JOIN].
func parseMapping(text string) (m generator.Mapping, err error) {
	label, rest, ok := strings.Cut(text, "=")
	attributes, join, joined := strings.Cut(rest, ";")
	if !joined {
		join = "/"
	}
	m = generator.Mapping{Name: strings.TrimSpace(label), Join: join}
	for attribute := range strings.SplitSeq(attributes, ",") {
		if attribute = strings.TrimSpace(attribute); attribute != "" {
			m.Source = append(m.Source, attribute)
		}
	}
	if !ok || m.Name == "" || m.Source == nil {
		return m, fmt.Errorf("--metrics.dimension-mapping %q: want LABEL=ATTRIBUTE,ATTRIBUTE, then ;JOIN to join the values by something other than /", text)
	}
	return m, nil
}

func parsePolicies(flag string, lines []string) (ps []generator.Policy, err error) {
	for _, line := range lines {
		p, err := generator.ParsePolicy(line)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", flag, err)
		}
		ps = append(ps, p)
	}
	return ps, nil
}
