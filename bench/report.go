package bench

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// IngestReport is the result of [Ingest]. Per span means per accepted span. Null in JSON means not requested,
// or not measurable on this system.
type IngestReport struct {
	Target       string  `json:"target"`
	Batch        int     `json:"batch"`
	Concurrency  int     `json:"concurrency"`
	Connections  int     `json:"connections"`
	Services     int     `json:"services"`
	Cardinality  int64   `json:"cardinality"`
	Compression  string  `json:"compression"`
	Rate         float64 `json:"rate"`
	BytesPerSpan float64 `json:"bytes_per_span"` // on the wire, before compression

	Seconds        float64  `json:"seconds"` // from the first request to the last answer
	Requests       int64    `json:"requests"`
	Accepted       int64    `json:"accepted_spans"`
	Rejected       int64    `json:"rejected_spans"` // by partial success
	Refused        int64    `json:"refused_spans"`
	Failed         int64    `json:"failed_spans"` // without an answer
	SpansPerSecond float64  `json:"accepted_spans_per_second"`
	Reasons        []Reason `json:"reasons"`
	Latency        Latency  `json:"latency"`                // of acknowledged requests, from the time they were due
	Service        *Latency `json:"service_time,omitempty"` // from the time they were sent; only with a rate

	ClientCPU     *float64 `json:"client_cpu_us_per_span"`
	ServerCPU     *float64 `json:"server_cpu_us_per_span"`
	ServerCores   *float64 `json:"server_cores"` // mean number of busy cores, including --settle
	RSS           *int64   `json:"server_rss_bytes"`
	RSSBefore     *int64   `json:"server_rss_before_bytes"`
	PeakRSS       *int64   `json:"server_peak_rss_bytes"`
	MemoryPerSpan *float64 `json:"server_memory_bytes_per_span"` // growth
	Disk          *int64   `json:"disk_bytes"`
	DiskPerSpan   *float64 `json:"disk_bytes_per_span"` // growth

	pid bool // requested
	dir bool
}

func newIngestReport(o *IngestOptions, d *driver, t *tally, before, after usage) *IngestReport {
	r := &IngestReport{Target: o.Target, Batch: o.Batch, Concurrency: o.Concurrency, Connections: len(d.senders),
		Services: o.Services, Cardinality: o.Cardinality, Compression: o.Compression, Rate: o.Rate,
		BytesPerSpan: d.whole.size() / float64(o.Batch), Seconds: t.elapsed.Seconds(), Requests: t.requests,
		Accepted: t.accepted, Rejected: t.rejected, Refused: t.refused, Failed: t.failed,
		SpansPerSecond: float64(t.accepted) / t.elapsed.Seconds(), Latency: summary(&t.latency),
		Reasons: []Reason{}, pid: o.PID != 0, dir: o.Dir != ""}
	if target, err := parseTarget(o.Target, o.Access); err == nil {
		r.Connections = o.connections(target)
	}
	if o.Rate > 0 {
		service := summary(&t.service)
		r.Service = &service
	}
	for _, reason := range t.reasons {
		r.Reasons = append(r.Reasons, *reason)
	}
	slices.SortFunc(r.Reasons, func(a, b Reason) int { return cmp.Or(-cmp.Compare(a.Spans, b.Spans), cmp.Compare(a.Reason, b.Reason)) })
	r.usage(o, before, after)
	return r
}

// usage fills in the measured resources. No process has zero memory or CPU, so zero means unknown.
func (r *IngestReport) usage(o *IngestOptions, before, after usage) {
	n := float64(max(r.Accepted, 1))
	if after.client > 0 {
		r.ClientCPU = new(micros(after.client-before.client) / n)
	}
	if after.rss > 0 {
		cpu := after.cpu - before.cpu
		r.ServerCPU, r.ServerCores = new(micros(cpu)/n), new(cpu.Seconds()/(r.Seconds+o.Settle.Seconds()))
		r.RSS, r.RSSBefore, r.PeakRSS = &after.rss, &before.rss, &after.peak
		r.MemoryPerSpan = new(float64(after.rss-before.rss) / n)
	}
	if r.dir {
		r.Disk, r.DiskPerSpan = &after.disk, new(float64(after.disk-before.disk)/n)
	}
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// Write prints the report as a table.
func (r *IngestReport) Write(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(tab, name+"\t"+format+"\n", args...) }
	row("target", "%s, %d requests at once on %d connections, compression %s", r.Target, r.Concurrency, r.Connections, r.Compression)
	row("payload", "batches of %d spans, %.0f B a span, %d services, %s", r.Batch, r.BytesPerSpan, r.Services, r.cardinality())
	row("accepted", "%d spans in %.2f s: %.0f spans/s", r.Accepted, r.Seconds, r.SpansPerSecond)
	row("not accepted", "%d rejected in part, %d refused, %d without an answer", r.Rejected, r.Refused, r.Failed)
	for _, reason := range r.Reasons {
		row("", "%d requests, %d spans: %s: %s", reason.Requests, reason.Spans, reason.Reason, reason.Example)
	}
	row("latency", "%s", r.Latency)
	if r.Service != nil {
		row("  once sent", "%s", *r.Service)
	}
	row("client CPU", "%s", measured("", true, r.ClientCPU, "%.2f us a span"))
	row("server CPU", "%s", r.cpu())
	row("server memory", "%s", r.memory())
	row("disk", "%s", r.disk())
	return tab.Flush()
}

func (r *IngestReport) cardinality() string {
	if r.Cardinality == 0 {
		return "a new " + valueKey + " each"
	}
	return fmt.Sprintf("%d values of %s", r.Cardinality, valueKey)
}

// measured formats the number, or explains why there is none.
func measured(flag string, asked bool, v *float64, format string) string {
	switch {
	case v != nil:
		return fmt.Sprintf(format, *v)
	case asked:
		return errNotHere.Error()
	}
	return "not measured (" + flag + ")"
}

func (r *IngestReport) cpu() string {
	if r.ServerCPU == nil {
		return measured("--pid", r.pid, nil, "")
	}
	return fmt.Sprintf("%.2f us a span, %.2f of %d cores", *r.ServerCPU, *r.ServerCores, runtime.NumCPU())
}

func (r *IngestReport) memory() string {
	if r.RSS == nil {
		return measured("--pid", r.pid, nil, "")
	}
	return fmt.Sprintf("%.0f MiB, was %.0f, peak %.0f; grew by %.0f B a span", mib(*r.RSS), mib(*r.RSSBefore), mib(*r.PeakRSS), *r.MemoryPerSpan)
}

func (r *IngestReport) disk() string {
	if r.Disk == nil {
		return measured("--dir", false, nil, "")
	}
	return fmt.Sprintf("%.0f MiB; grew by %.0f B a span", mib(*r.Disk), *r.DiskPerSpan)
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// String names the quantiles.
func (l Latency) String() string {
	return fmt.Sprintf("p50 %.2f, p90 %.2f, p99 %.2f, max %.2f ms", l.P50, l.P90, l.P99, l.Max)
}
