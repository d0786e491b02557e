package generator

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the samples in testdata anew")

// TestFacts runs the scripts in testdata/*.txtar. A script is a comment that says
// what it shows, options (one a line), and then steps in order: "spans" arrive,
// time passes ("wait 10s"), the Table is sealed ("seal") or all are dropped
// ("drop"), the process is begun anew ("restart"), metrics are collected and
// those whose name begins with one of the words are compared ("samples NAME..."),
// counters of the generator are compared ("stats NAME...").
func TestFacts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { runScript(t, file) })
		})
	}
}

type script struct {
	t       *testing.T
	options Options
	source  *memoryStore
	out     *recorder
	g       *Generator
}

func runScript(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, source: &memoryStore{}, out: &recorder{}}
	for i := range archive.Files {
		step := &archive.Files[i]
		words := strings.Fields(step.Name)
		got := s.step(words[0], words[1:], string(step.Data))
		if words[0] != "samples" && words[0] != "stats" {
			continue
		}
		if *update {
			step.Data = []byte(got)
		} else if got != string(step.Data) {
			t.Errorf("step %d, %s: got\n%s\nwant\n%s", i+1, step.Name, got, step.Data)
		}
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(archive), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// step runs one step and returns what is to be compared.
func (s *script) step(what string, args []string, data string) string {
	if what == "options" {
		s.options = optionsOf(s.t, data)
	}
	if s.g == nil || what == "restart" {
		s.options.Source, s.options.Out, s.options.Appended = s.source, s.out, s.source.Appended
		time.Sleep(time.Millisecond)
		var err error
		if s.g, err = New(s.options); err != nil {
			s.t.Fatal(err)
		}
	}
	switch what {
	case "options", "restart":
	case "spans":
		s.source.add(s.t, spansOf(s.t, data)...)
	case "wait":
		time.Sleep(durationOf(s.t, args[0]))
		s.g.Read(time.Now())
	case "seal":
		s.source.seal()
	case "drop":
		s.source.drop()
	case "samples":
		if err := s.g.Collect(context.Background(), time.Now()); err != nil {
			s.t.Fatal(err)
		}
		return samplesText(s.out.all(), args)
	case "stats":
		return statsText(s.g.Stats(), args)
	default:
		s.t.Fatalf("unknown step %q", what)
	}
	return ""
}

func samplesText(samples []sample, names []string) string {
	var b strings.Builder
	for i := range samples {
		text := samples[i].String()
		_, name, _ := strings.Cut(text, " ")
		if strings.HasPrefix(name, ObservedMetric) && !slices.Contains(names, ObservedMetric) {
			continue
		}
		if len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(name, n) }) {
			fmt.Fprintln(&b, text)
		}
	}
	return b.String()
}

func statsText(st Stats, names []string) string {
	all := map[string]int64{"spans": st.Spans, "missed": st.Missed, "active": st.ActiveSeries, "removed": st.RemovedSeries,
		"overflow": st.OverflowUpdates, "overflow_labels": st.OverflowLabels, "open": st.OpenEdges, "completed": st.CompletedEdges,
		"virtual": st.VirtualEdges, "expired": st.ExpiredEdges}
	maps.Copy(all, st.Dropped)
	var b strings.Builder
	for _, name := range names {
		n, ok := all[name]
		if !ok {
			n = -1
		}
		fmt.Fprintln(&b, name, n)
	}
	return b.String()
}

// optionsOf reads options, one a line: a name and values.
func optionsOf(t *testing.T, text string) Options {
	o := Options{Instance: "host-1", ExternalLabels: map[string]string{instanceLabel: ""}}
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		words := strings.Fields(rest)
		switch name {
		case "processors":
			for _, w := range words {
				o.Processors = append(o.Processors, Processor(w))
			}
		case "instance":
			delete(o.ExternalLabels, instanceLabel)
			o.Instance = rest
		case "external":
			name, value, _ := strings.Cut(rest, "=")
			o.ExternalLabels[name] = value
		case "dimensions":
			o.SpanMetrics.Dimensions = words
		case "mapping":
			o.SpanMetrics.Mappings = append(o.SpanMetrics.Mappings, Mapping{Name: words[0], Join: words[1], Source: words[2:]})
		case "buckets":
			o.SpanMetrics.Buckets = numbersOf(t, words)
		case "status_message":
			o.SpanMetrics.StatusMessage = true
		case "no_span_kind":
			o.SpanMetrics.NoSpanKind = true
		case "target_info":
			o.SpanMetrics.TargetInfo, o.SpanMetrics.TargetInfoExcluded = true, words
		case "multiplier":
			o.SpanMetrics.MultiplierKey = rest
		case "tracestate":
			o.SpanMetrics.TracestateMultiplier = true
		case "filter":
			o.SpanMetrics.Filters = append(o.SpanMetrics.Filters, policyOf(t, rest))
		case "graph_filter":
			o.ServiceGraph.Filters = append(o.ServiceGraph.Filters, policyOf(t, rest))
		case "graph_buckets":
			o.ServiceGraph.Buckets = numbersOf(t, words)
		case "graph_dimensions":
			o.ServiceGraph.Dimensions = words
		case "graph_prefix":
			o.ServiceGraph.Prefix = true
		case "max_edges":
			o.ServiceGraph.MaxEdges = int(numbersOf(t, words)[0])
		case "messaging_latency":
			o.ServiceGraph.MessagingLatency = true
		case "virtual_node":
			o.ServiceGraph.VirtualNode = true
		case "max_series":
			o.MaxSeries = int(numbersOf(t, words)[0])
		case "max_label_values":
			o.MaxLabelValues = int(numbersOf(t, words)[0])
		case "stale_after":
			o.StaleAfter = durationOf(t, rest)
		case "native":
			o.NativeHistograms = Native(rest)
		default:
			t.Fatalf("unknown option %q", name)
		}
	}
	return o
}

func numbersOf(t *testing.T, words []string) (numbers []float64) {
	for _, w := range words {
		n, err := strconv.ParseFloat(w, 64)
		if err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, n)
	}
	return numbers
}

func policyOf(t *testing.T, line string) Policy {
	p, err := ParsePolicy(line)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
