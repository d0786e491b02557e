package prometheus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	otlptranslator "github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"github.com/prometheus/prometheus/tsdb"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// Metrics is an OTLP metrics request of one tenant.
type Metrics struct {
	Payload     []byte // an ExportMetricsServiceRequest
	TenantLabel string // label that names the tenant; "" for none
	Tenant      string
}

// Rejected is the number of data points left out of a request, and the reason for the first one.
type Rejected struct {
	Points int
	Reason string
}

// lettersAtOnce limits how many requests from outside are in memory at a time.
const lettersAtOnce = 4

// AppendOTLP stores metrics under the names and labels of Prometheus' own OTLP receiver: job and instance from
// the resource, its other attributes in target_info, exemplars with their trace. When it returns, PromQL finds
// them. A data point that cannot be stored is left out, without affecting the others. The error is
// tsdb.ErrNotReady until the storage is open, and ErrNotOTLP for an invalid payload.
func (p *Prometheus) AppendOTLP(ctx context.Context, m Metrics) (Rejected, error) {
	s := p.running.Load()
	if s == nil {
		return Rejected{}, tsdb.ErrNotReady
	}
	select {
	case s.letters <- struct{}{}:
		defer func() { <-s.letters }()
	case <-ctx.Done():
		return Rejected{}, fmt.Errorf("append metrics: %w", context.Cause(ctx))
	}
	request := pmetricotlp.NewExportRequest()
	if err := request.UnmarshalProto(m.Payload); err != nil {
		return Rejected{}, fmt.Errorf("%w: %w", ErrNotOTLP, err)
	}
	l := &letter{protocol: "otlp", tenantLabel: m.TenantLabel, tenant: m.Tenant}
	refused := review(request.Metrics(), time.Now(), p.oldestSample())
	if refused.Points > 0 {
		l.count("not_kept", refused.Points)
		l.first = &refusal{"not_kept", refused.Reason}
	}
	err := s.appendMetrics(l.with(ctx), request.Metrics(), l, &refused)
	if err != nil {
		return Rejected{}, fmt.Errorf("append metrics: %w", err)
	}
	s.outside.done(l)
	refused.Points += len(l.points)
	if refused.Reason == "" {
		refused.Reason = l.reason()
	}
	return refused, nil
}

// ErrNotOTLP means that a payload is not an OTLP metrics request.
var ErrNotOTLP = errors.New("not an OTLP request with metrics")

// appendMetrics translates and commits. An error of the translation alone, such as an impossible scale of a
// native histogram, counts as a refused point.
func (s *server) appendMetrics(ctx context.Context, metrics pmetric.Metrics, l *letter, refused *Rejected) (err error) {
	app := &firstError{AppenderV2: s.outside.AppenderV2(ctx)}
	defer func() {
		if r := recover(); r != nil { // the translation is foreign code
			err = errors.Join(fmt.Errorf("translate: %v", r), app.Rollback())
		}
	}()
	converter := otlptranslator.NewPrometheusConverter(app)
	notes, translateErr := converter.FromMetrics(ctx, metrics, otlpSettings(s.p.config.Load()))
	if err := errors.Join(app.err, ctx.Err()); err != nil {
		return errors.Join(err, app.Rollback())
	}
	if translateErr != nil {
		refused.Points++
		refused.Reason = cutText(translateErr.Error())
		l.count("translation", 1)
	}
	if warnings, _ := notes.AsStrings("", 5, 0); len(warnings) > 0 {
		s.p.log.Debug("translate OTLP metrics", "warnings", warnings)
	}
	return app.Commit()
}

// otlpSettings returns the settings of the configuration's section otlp.
func otlpSettings(c *config.Config) otlptranslator.Settings {
	o := c.OTLPConfig
	return otlptranslator.Settings{
		AddMetricSuffixes:                    o.TranslationStrategy.ShouldAddSuffixes(),
		AllowUTF8:                            !o.TranslationStrategy.ShouldEscape(),
		PromoteResourceAttributes:            otlptranslator.NewPromoteResourceAttributes(o),
		KeepIdentifyingResourceAttributes:    o.KeepIdentifyingResourceAttributes,
		ConvertHistogramsToNHCB:              o.ConvertHistogramsToNHCB,
		PromoteScopeMetadata:                 o.PromoteScopeMetadata,
		LookbackDelta:                        lookback,
		LabelNameUnderscoreSanitization:      o.LabelNameUnderscoreSanitization,
		LabelNamePreserveMultipleUnderscores: o.LabelNamePreserveMultipleUnderscores,
	}
}

// review removes and counts the metrics that Prometheus cannot represent, and the data points with an
// unacceptable time. The translation must not see such a time: it makes samples of target_info for the whole
// time that a request spans, so one point without a timestamp would make millions.
func review(metrics pmetric.Metrics, now time.Time, oldest time.Duration) (r Rejected) {
	refuse := func(m pmetric.Metric, why string, points int) {
		r.Points += points
		if r.Reason == "" {
			r.Reason = fmt.Sprintf("metric %q %s", cutText(m.Name()), why)
		}
	}
	resources := metrics.ResourceMetrics()
	for i := range resources.Len() {
		scopes := resources.At(i).ScopeMetrics()
		for j := range scopes.Len() {
			scopes.At(j).Metrics().RemoveIf(func(m pmetric.Metric) bool {
				if why := formProblem(m); why != "" {
					refuse(m, why, pointsOf(m))
					return true
				}
				keepPoints(m, func(at pcommon.Timestamp) bool {
					bad := timeProblem(at.AsTime().UnixMilli(), now, oldest)
					if bad != nil {
						refuse(m, "has an invalid point: "+bad.text, 1)
					}
					return bad == nil
				})
				return pointsOf(m) == 0
			})
		}
	}
	return r
}

// keepPoints removes the points of a metric whose time keep rejects.
func keepPoints(m pmetric.Metric, keep func(pcommon.Timestamp) bool) {
	number := func(p pmetric.NumberDataPoint) bool { return !keep(p.Timestamp()) }
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		m.Gauge().DataPoints().RemoveIf(number)
	case pmetric.MetricTypeSum:
		m.Sum().DataPoints().RemoveIf(number)
	case pmetric.MetricTypeHistogram:
		m.Histogram().DataPoints().RemoveIf(func(p pmetric.HistogramDataPoint) bool { return !keep(p.Timestamp()) })
	case pmetric.MetricTypeExponentialHistogram:
		m.ExponentialHistogram().DataPoints().RemoveIf(func(p pmetric.ExponentialHistogramDataPoint) bool { return !keep(p.Timestamp()) })
	case pmetric.MetricTypeSummary:
		m.Summary().DataPoints().RemoveIf(func(p pmetric.SummaryDataPoint) bool { return !keep(p.Timestamp()) })
	}
}

// formProblem returns the reason why a metric cannot be stored, or "".
func formProblem(m pmetric.Metric) string {
	temporality := pmetric.AggregationTemporalityCumulative
	switch m.Type() {
	case pmetric.MetricTypeSum:
		temporality = m.Sum().AggregationTemporality()
	case pmetric.MetricTypeHistogram:
		temporality = m.Histogram().AggregationTemporality()
	case pmetric.MetricTypeExponentialHistogram:
		temporality = m.ExponentialHistogram().AggregationTemporality()
	}
	switch {
	case m.Name() == "":
		return "has no name"
	case temporality == pmetric.AggregationTemporalityDelta:
		return "has delta temporality, but Prometheus stores cumulative metrics: set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative"
	case temporality != pmetric.AggregationTemporalityCumulative:
		return "has no temporality: send cumulative metrics"
	}
	return ""
}

func pointsOf(m pmetric.Metric) int {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return m.Gauge().DataPoints().Len()
	case pmetric.MetricTypeSum:
		return m.Sum().DataPoints().Len()
	case pmetric.MetricTypeHistogram:
		return m.Histogram().DataPoints().Len()
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().DataPoints().Len()
	case pmetric.MetricTypeSummary:
		return m.Summary().DataPoints().Len()
	}
	return 0
}

// firstError records the first error of the storage that concerns more than one sample. The translation joins
// such an error with others.
type firstError struct {
	storage.AppenderV2
	err error
}

func (f *firstError) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, opts storage.AppendV2Options) (storage.SeriesRef, error) {
	if f.err != nil {
		return 0, f.err
	}
	ref, err := f.AppenderV2.Append(ref, ls, st, t, v, h, fh, opts)
	f.err = err
	return ref, err
}
