package prometheus

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"google.golang.org/protobuf/proto"
)

// federate answers with the newest sample of each selected series and its time, so that another Prometheus can
// scrape them. It leaves out native histograms, which the text formats cannot express.
func (p *Prometheus) federate(w http.ResponseWriter, r *http.Request) {
	s := p.running.Load()
	if s == nil {
		http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
		return
	}
	if err := boundTexts(r); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	selectors, err := promQL.ParseMetricSelectors(r.Form["match[]"])
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	samples, err := s.newest(r.Context(), selectors)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	format := expfmt.NegotiateAccept(r.Header, expfmt.DefaultAcceptedFormats()...)
	w.Header().Set("Content-Type", string(format))
	encoder := expfmt.NewEncoder(w, format)
	for _, f := range families(samples, p.config.Load().GlobalConfig.ExternalLabels) {
		if err := encoder.Encode(f); err != nil {
			return // the client has gone
		}
	}
}

// newest returns each series once, even if several selectors match it, sorted by name.
func (s *server) newest(ctx context.Context, selectors [][]*labels.Matcher) ([]promql.Sample, error) {
	now := time.Now()
	q, err := s.db.Querier(now.Add(-lookback).UnixMilli(), now.UnixMilli())
	if err != nil {
		return nil, err
	}
	defer q.Close()
	var sets []storage.SeriesSet
	for _, matchers := range selectors {
		sets = append(sets, q.Select(ctx, true, nil, matchers...))
	}
	var samples []promql.Sample
	set := storage.NewMergeSeriesSet(sets, 0, storage.ChainedSeriesMerge)
	var it chunkenc.Iterator
	for set.Next() {
		it = set.At().Iterator(it)
		if t, v, ok := last(it); ok && !value.IsStaleNaN(v) {
			samples = append(samples, promql.Sample{Metric: set.At().Labels(), T: t, F: v})
		}
	}
	slices.SortFunc(samples, func(a, b promql.Sample) int {
		return cmp.Or(strings.Compare(a.Metric.Get(model.MetricNameLabel), b.Metric.Get(model.MetricNameLabel)), labels.Compare(a.Metric, b.Metric))
	})
	return samples, set.Err()
}

// last returns the newest sample of the last minutes, unless it is a histogram.
func last(it chunkenc.Iterator) (t int64, v float64, ok bool) {
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		if ok = kind == chunkenc.ValFloat; ok {
			t, v = it.At()
		}
	}
	return t, v, ok && it.Err() == nil
}

// families groups sorted samples by name. It adds external labels to series without a label of that name.
func families(samples []promql.Sample, external labels.Labels) []*dto.MetricFamily {
	var all []*dto.MetricFamily
	for _, sample := range samples {
		name := sample.Metric.Get(model.MetricNameLabel)
		if len(all) == 0 || all[len(all)-1].GetName() != name {
			all = append(all, &dto.MetricFamily{Name: proto.String(name), Type: dto.MetricType_UNTYPED.Enum()})
		}
		f := all[len(all)-1]
		m := &dto.Metric{TimestampMs: proto.Int64(sample.T), Untyped: &dto.Untyped{Value: proto.Float64(sample.F)}}
		add := func(l labels.Label) {
			m.Label = append(m.Label, &dto.LabelPair{Name: proto.String(l.Name), Value: proto.String(l.Value)})
		}
		sample.Metric.Range(func(l labels.Label) {
			if l.Name != model.MetricNameLabel {
				add(l)
			}
		})
		external.Range(func(l labels.Label) {
			if !sample.Metric.Has(l.Name) {
				add(l)
			}
		})
		f.Metric = append(f.Metric, m)
	}
	return all
}
