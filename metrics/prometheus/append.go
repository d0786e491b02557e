package prometheus

import (
	"context"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// Appendable accepts series from the embedding program, in both of Prometheus' forms.
type Appendable interface {
	storage.Appendable
	storage.AppendableV2
}

// Appendable writes to the storage and to every remote end. Until the storage is open, and after Close, its
// appenders return tsdb.ErrNotReady.
func (p *Prometheus) Appendable() Appendable { return appendable{p} }

// Started is closed when Appendable accepts samples.
func (p *Prometheus) Started() <-chan struct{} { return p.wake }

type appendable struct{ p *Prometheus }

func (a appendable) Appender(ctx context.Context) storage.Appender {
	if s := a.p.running.Load(); s != nil {
		return s.storage.Appender(ctx)
	}
	return notReady{}
}

func (a appendable) AppenderV2(ctx context.Context) storage.AppenderV2 {
	if s := a.p.running.Load(); s != nil {
		return s.storage.AppenderV2(ctx)
	}
	return notReadyV2{}
}

type notReady struct{}

func (notReady) SetOptions(*storage.AppendOptions) {}

func (notReady) Append(storage.SeriesRef, labels.Labels, int64, float64) (storage.SeriesRef, error) {
	return 0, tsdb.ErrNotReady
}

func (notReady) AppendExemplar(storage.SeriesRef, labels.Labels, exemplar.Exemplar) (storage.SeriesRef, error) {
	return 0, tsdb.ErrNotReady
}

func (notReady) AppendHistogram(storage.SeriesRef, labels.Labels, int64, *histogram.Histogram, *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, tsdb.ErrNotReady
}

func (notReady) AppendHistogramSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64, *histogram.Histogram, *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, tsdb.ErrNotReady
}

func (notReady) UpdateMetadata(storage.SeriesRef, labels.Labels, metadata.Metadata) (storage.SeriesRef, error) {
	return 0, tsdb.ErrNotReady
}

func (notReady) AppendSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64) (storage.SeriesRef, error) {
	return 0, tsdb.ErrNotReady
}

func (notReady) Commit() error   { return tsdb.ErrNotReady }
func (notReady) Rollback() error { return nil }

type notReadyV2 struct{}

func (notReadyV2) Append(storage.SeriesRef, labels.Labels, int64, int64, float64, *histogram.Histogram, *histogram.FloatHistogram, storage.AOptions) (storage.SeriesRef, error) {
	return 0, tsdb.ErrNotReady
}

func (notReadyV2) AppendExemplars(storage.SeriesRef, labels.Labels, []exemplar.Exemplar) (storage.SeriesRef, error) {
	return 0, tsdb.ErrNotReady
}

func (notReadyV2) Commit() error   { return tsdb.ErrNotReady }
func (notReadyV2) Rollback() error { return nil }
