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

// GeneratorFlags say which metrics are computed from spans. Names and defaults
// are those of Tempo's metrics-generator where it has them.
type GeneratorFlags struct {
	Processors  []string          `env:"PROCESSORS" default:"service-graphs,span-metrics" help:"What to compute from spans: span-metrics (or its parts span-metrics-count, span-metrics-latency, span-metrics-size), service-graphs, host-info; none for nothing."`
	Interval    time.Duration     `env:"INTERVAL" default:"5s" help:"How often the metrics computed from spans are stored."`
	Labels      map[string]string `name:"external-labels" env:"EXTERNAL_LABELS" default:"source=etude" mapsep:"," placeholder:"NAME=VALUE" help:"Labels of every metric computed from spans, as source=etude,cluster=demo."`
	TenantLabel string            `default:"tenant" help:"With --multitenancy, the label that names whose spans a metric was computed from."`
	MaxSeries   int               `name:"max-active-series" env:"MAX_ACTIVE_SERIES" default:"50000" help:"Most series computed from spans, and most that are made anew in an hour. Half are set aside for the first series of each service; a service gets at most a third of all. Further label sets share one series labelled metric_overflow. 0 lifts the limit."`
	MaxTotal    int               `name:"max-total-series" env:"MAX_TOTAL_SERIES" default:"200000" help:"With --multitenancy, most series computed from the spans of all tenants, shared among them in the same way. 0 lifts the limit."`
	MaxValues   int               `name:"max-label-values" env:"MAX_LABEL_VALUES" default:"500" help:"Most values of one label within one service, and most services; further ones become __cardinality_overflow__. 0 lifts the limit."`
	StaleAfter  time.Duration     `default:"15m" help:"Series without a span for so long end."`
	Slack       time.Duration     `default:"30s" help:"Spans that ended longer than this before they came in, or after, are not counted."`
	Histograms  []string          `env:"HISTOGRAMS" default:"native,classic" help:"Kinds of histograms: native (buckets follow the durations, quantiles within 5 %), classic (Tempo's buckets, each twice the one before), or both."`
	Exemplar    string            `name:"exemplar-label" default:"traceID" help:"Label of an exemplar that names its trace."`

	Dimensions    []string  `env:"DIMENSIONS" placeholder:"ATTRIBUTE" help:"Attributes, of the resource or else of the span, that become labels of span metrics."`
	Mappings      []string  `name:"dimension-mapping" sep:"none" placeholder:"LABEL=ATTRIBUTE,...[;JOIN]" help:"One label of several attributes, joined by JOIN (default /); may be repeated."`
	Buckets       []float64 `placeholder:"SECONDS" help:"Buckets of span durations (default: 0.002 doubling up to 16.384)."`
	Omit          []string  `name:"omit-labels" placeholder:"LABEL" help:"Labels that span metrics do without: service, span_name, span_kind, status_code."`
	StatusMessage bool      `help:"Label span metrics with the status message."`
	Filters       []string  `name:"filter" sep:"none" placeholder:"POLICY" help:"Which spans count in span metrics, as 'include kind=SPAN_KIND_SERVER' or 'exclude name~^/health'; may be repeated, all must pass."`
	MultiplierKey string    `name:"span-multiplier-key" placeholder:"ATTRIBUTE" help:"Attribute with the ratio at which spans were sampled: each counts as 1/ratio."`
	Tracestate    bool      `name:"tracestate-multiplier" help:"Take the ratio from the W3C trace state first (ot=th:...)."`
	TargetInfo    bool      `help:"Compute traces_target_info, and label span metrics with job and instance."`
	NoInstance    bool      `name:"omit-instance" help:"Leave out the label instance."`
	TargetExclude []string  `name:"target-info-exclude" placeholder:"ATTRIBUTE" help:"Resource attributes that traces_target_info does without."`
	Hosts         []string  `name:"host-identifiers" default:"k8s.node.name,host.id" help:"Resource attributes that name a host in traces_host_info; the first one present counts."`

	Graph graphFlags `embed:"" prefix:"graph-"`
}

// graphFlags are those of the service graph.
type graphFlags struct {
	Dimensions []string      `placeholder:"ATTRIBUTE" help:"Attributes that become labels of the service graph."`
	Prefix     bool          `help:"Give both sides a label of their own, client_NAME and server_NAME, as Grafana's node graph by namespace wants."`
	Buckets    []float64     `placeholder:"SECONDS" help:"Buckets of request durations (default: 0.1 doubling up to 12.8)."`
	Wait       time.Duration `default:"10s" help:"How long one side of a call waits for the other."`
	MaxEdges   int           `default:"30000" help:"Most calls that wait for their other side. A service gets at most a third."`
	Peers      []string      `name:"peer-attributes" default:"peer.service,db.name,db.system,db.system.name" help:"Span attributes that name the other side when it sends no spans."`
	Databases  []string      `name:"database-attributes" default:"db.namespace,db.name,db.system,db.system.name" help:"Attributes that mark a call of a database."`
	Messaging  bool          `name:"messaging-latency" help:"Compute how long messages take from producer to consumer."`
	Virtual    bool          `name:"virtual-node-label" help:"Label virtual_node with the side that sends no spans."`
	Filters    []string      `name:"filter" sep:"none" placeholder:"POLICY" help:"Which spans count in the service graph; may be repeated, all must pass."`
}

// noProcessors is the word of the command line for no processors.
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

// histogramKinds reads the kinds of histograms to make.
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

// Check finds what is wrong with the flags before anything is started.
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
		return m, fmt.Errorf("--metrics.dimension-mapping %q: want LABEL=ATTRIBUTE,ATTRIBUTE, and ;JOIN behind them if the values are not to be joined by /", text)
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
