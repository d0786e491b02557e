package prometheus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"etude/metrics/quota"
)

// Samples of other processes arrive in two ways: by OTLP, and by remote write when the receiver is on. Both
// have the same limits:
//
//   - The senders' jobs share the series by the rules of package quota. A series without a sample for
//     idleSeries loses its place; while the limit is reached, it does so after pressedSeries.
//   - A series has at most maxLabels labels. Longer values are cut.
//   - A sample is at most oldest old, and at most newest ahead of the clock. The storage would take the time
//     of its first sample as its beginning, and a sample far ahead would block all samples with earlier
//     times.
//
// A sample beyond a limit, or out of order, is left out; the other samples of its request are stored. The
// answer tells the sender how many samples were left out, and the reason for the first. The log and the metrics
// report it too.
const (
	maxLabels     = 64
	maxLabelValue = 1024 // bytes
	oldest        = time.Hour
	newest        = 2 * time.Minute
	idleSeries    = 15 * time.Minute
	pressedSeries = 3 * time.Minute
	sweepSeries   = 10 * time.Second
	manyJobs      = 200 // number of jobs that share the series
)

// outside admits samples of other processes to the storage.
type outside struct {
	to     storage.AppendableV2
	oldest func() time.Duration
	log    *slog.Logger
	counts *outsideCounts
	pool   *quota.Pool

	mu      sync.Mutex
	series  map[uint64]*outsideSeries // by the hash of the labels
	swept   time.Time
	pressed bool // whether the limit was reached since the last sweep
	told    map[string]time.Time
}

// outsideSeries is a series that has a place.
type outsideSeries struct {
	owner string
	used  time.Time
}

func newOutside(to storage.AppendableV2, most int, oldest func() time.Duration, counts *outsideCounts, log *slog.Logger) *outside {
	return &outside{to: to, oldest: oldest, log: log, counts: counts, pool: quota.New(most, manyJobs), series: map[uint64]*outsideSeries{}, told: map[string]time.Time{}}
}

// outsideCounts are the metrics about samples from other processes.
type outsideCounts struct {
	taken, refused *client.CounterVec
	series         client.Gauge
}

func newOutsideCounts() *outsideCounts {
	return &outsideCounts{
		taken: client.NewCounterVec(client.CounterOpts{Name: "etude_metrics_received_samples_total", Help: "Samples accepted from other processes."}, []string{"protocol"}),
		refused: client.NewCounterVec(client.CounterOpts{Name: "etude_metrics_refused_samples_total",
			Help: "Samples from other processes that were left out, by reason."}, []string{"protocol", "reason"}),
		series: client.NewGauge(client.GaugeOpts{Name: "etude_metrics_received_series", Help: "Series from other processes with a recent sample."}),
	}
}

// refusal is the reason why one sample is left out.
type refusal struct {
	reason string // label of the metric
	text   string // for the sender
}

func (r *refusal) Error() string { return r.text }

// Is makes the remote-write handler treat a refusal as a bad request, which its sender does not send again.
func (r *refusal) Is(target error) bool { return target == storage.ErrOutOfBounds }

// refusalOf returns the refusal for an error of the storage, or nil when the error concerns more than one
// sample.
func refusalOf(err error) *refusal {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	if bad, ok := errors.AsType[histogram.Error](err); ok {
		return &refusal{"histogram", bad.Error()}
	}
	for _, known := range []struct {
		err    error
		reason string
	}{
		{storage.ErrOutOfOrderSample, "out_of_order"}, {storage.ErrTooOldSample, "too_old"}, {storage.ErrOutOfBounds, "too_old"},
		{storage.ErrDuplicateSampleForTimestamp, "duplicate"},
	} {
		if errors.Is(err, known.err) {
			return &refusal{known.reason, err.Error()}
		}
	}
	return nil
}

// letter is one request with samples: its origin and its results.
type letter struct {
	protocol    string // label of the metrics
	tenantLabel string // set on every series, if not empty
	tenant      string
	exact       bool // the caller counts refusals itself, and needs them as errors
	now         time.Time
	oldest      time.Duration // maximum age of a sample

	taken   int
	refused map[string]int // samples by reason
	points  map[uint64]bool
	first   *refusal
	series  string // of the first refusal
}

type letterKey struct{}

// with puts a letter into a context, for AppenderV2.
func (l *letter) with(ctx context.Context) context.Context {
	return context.WithValue(ctx, letterKey{}, l)
}

// AppenderV2 returns an appender for the letter in the context.
func (o *outside) AppenderV2(ctx context.Context) storage.AppenderV2 {
	l, ok := ctx.Value(letterKey{}).(*letter)
	if !ok {
		l = &letter{protocol: "unknown"}
	}
	l.now, l.oldest = time.Now(), o.oldest()
	o.sweep(l.now)
	return &outsideAppender{to: o.to.AppenderV2(ctx), o: o, l: l, builder: labels.NewBuilder(labels.EmptyLabels())}
}

// outsideAppender appends the samples of one letter.
type outsideAppender struct {
	to      storage.AppenderV2
	o       *outside
	l       *letter
	builder *labels.Builder
}

// Append appends a sample unless it must be left out.
func (a *outsideAppender) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, opts storage.AppendV2Options) (storage.SeriesRef, error) {
	ls = a.bounded(ls)
	err := a.check(ls, t)
	if err == nil {
		ref, err = a.to.Append(ref, ls, st, t, v, h, fh, opts)
		var partial *storage.AppendPartialError
		if errors.As(err, &partial) { // only exemplars
			err = nil
		}
	}
	if err == nil {
		a.l.taken++
		return ref, nil
	}
	why := refusalOf(err)
	if why == nil {
		return 0, err
	}
	a.l.refuse(why, ls, t, opts.MetricFamilyName)
	if a.l.exact {
		return 0, err
	}
	return 0, nil
}

// AppendExemplars appends the exemplars of an existing series. A sender may send them after the samples,
// without ref.
func (a *outsideAppender) AppendExemplars(ref storage.SeriesRef, ls labels.Labels, es []exemplar.Exemplar) (storage.SeriesRef, error) {
	to, ok := a.to.(storage.ExemplarAppenderV2)
	if !ok {
		return ref, nil
	}
	return to.AppendExemplars(ref, a.bounded(ls), es)
}

func (a *outsideAppender) Commit() error   { return a.to.Commit() }
func (a *outsideAppender) Rollback() error { return a.to.Rollback() }

// bounded cuts long values and sets the tenant.
func (a *outsideAppender) bounded(ls labels.Labels) labels.Labels {
	long := 0
	ls.Range(func(l labels.Label) {
		if len(l.Value) > maxLabelValue {
			long++
		}
	})
	few := ls.Get(model.MetricNameLabel) != targetInfo || ls.Len() <= maxLabels
	if long == 0 && few && a.l.tenantLabel == "" { // Fast path
		return ls
	}
	a.builder.Reset(ls)
	n := 0
	ls.Range(func(l labels.Label) {
		switch {
		case len(l.Value) > maxLabelValue:
			a.builder.Set(l.Name, strings.ToValidUTF8(l.Value[:maxLabelValue], ""))
		case few || l.Name == model.MetricNameLabel || l.Name == model.JobLabel || l.Name == model.InstanceLabel:
			return
		}
		if n++; !few && n > maxLabels-4 { // name, job, instance, tenant
			a.builder.Del(l.Name)
		}
	})
	if a.l.tenantLabel != "" {
		a.builder.Set(a.l.tenantLabel, a.l.tenant)
	}
	return a.builder.Labels()
}

// generatorLabel is on every series computed from spans. OTLP senders must not set it: they could write into
// these series, and block the generator's samples. Remote write may set it, because a real Tempo sends such
// series.
const generatorLabel = "__metrics_gen_instance"

// targetInfo has all attributes of a resource as labels. Where other series would be refused, it is shortened.
const targetInfo = "target_info"

// check returns the reason why a sample must be left out, or nil.
func (a *outsideAppender) check(ls labels.Labels, t int64) error {
	if bad := timeProblem(t, a.l.now, a.l.oldest); bad != nil {
		return bad
	}
	switch {
	case a.l.protocol == "otlp" && ls.Has(generatorLabel):
		return &refusal{"labels", "the label " + generatorLabel + " is reserved for metrics computed from spans"}
	case ls.Len() > maxLabels:
		return &refusal{"labels", fmt.Sprintf("it has %d labels, the limit is %d", ls.Len(), maxLabels)}
	case !a.o.admit(ls, a.l):
		return &refusal{"series", "too many series: raise --metrics.max-received-series, or send fewer attributes"}
	}
	return nil
}

// timeProblem returns the reason why a sample with a time in unix ms cannot be stored, or nil.
func timeProblem(t int64, now time.Time, oldest time.Duration) *refusal {
	switch {
	case t > now.Add(newest).UnixMilli():
		return &refusal{"future", fmt.Sprintf("its time is more than %s ahead of the server's clock", newest)}
	case t < now.Add(-oldest).UnixMilli():
		return &refusal{"too_old", fmt.Sprintf("it is older than %s", oldest)}
	}
	return nil
}

// admit reports whether a series has a place. It gives it one if possible.
func (o *outside) admit(ls labels.Labels, l *letter) bool {
	hash := ls.Hash()
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.series[hash]; s != nil {
		s.used = l.now
		return true
	}
	owner := strings.Clone(l.tenant + "\x00" + ls.Get(model.JobLabel))
	if !o.pool.Take(owner, 1, l.now) {
		o.pressed = true
		return false
	}
	o.series[hash] = &outsideSeries{owner, l.now}
	return true
}

// sweep frees the places of series without recent samples.
func (o *outside) sweep(now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now.Sub(o.swept) < sweepSeries {
		return
	}
	after := idleSeries
	if o.pressed {
		after = pressedSeries
	}
	o.swept, o.pressed = now, false
	maps.DeleteFunc(o.series, func(_ uint64, s *outsideSeries) bool {
		idle := now.Sub(s.used) > after
		if idle {
			o.pool.Give(s.owner, 1)
		}
		return idle
	})
	o.counts.series.Set(float64(len(o.series)))
}

// refuse records a sample that is left out. The samples of one data point, such as the buckets of a histogram,
// count as one point.
func (l *letter) refuse(why *refusal, ls labels.Labels, t int64, family string) {
	l.count(why.reason, 1)
	if l.first == nil {
		l.first, l.series = why, ls.String()
	}
	if ls.Get(model.MetricNameLabel) != targetInfo {
		name := family
		if name == "" {
			name = ls.Get(model.MetricNameLabel)
		}
		b := labels.NewBuilder(ls)
		b.Del(labels.BucketLabel, model.QuantileLabel).Set(model.MetricNameLabel, name)
		l.points[b.Labels().Hash()^uint64(t)] = true
	}
}

// count records samples, or points that are not samples yet, as left out.
func (l *letter) count(reason string, n int) {
	if l.refused == nil {
		l.refused, l.points = map[string]int{}, map[uint64]bool{}
	}
	l.refused[reason] += n
}

// refusedSamples is the number of samples left out.
func (l *letter) refusedSamples() (n int) {
	for _, of := range l.refused {
		n += of
	}
	return n
}

// reason tells the sender why samples were left out, "" when none were.
func (l *letter) reason() string {
	if l.first == nil {
		return ""
	}
	if l.series == "" {
		return l.first.text
	}
	return fmt.Sprintf("%s: %s", cutText(l.series), l.first.text)
}

func cutText(s string) string {
	const most = 300
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}

// done counts a stored letter, and logs refusals: each reason at most once in tellEvery.
func (o *outside) done(l *letter) {
	o.counts.taken.WithLabelValues(l.protocol).Add(float64(l.taken))
	for reason, n := range l.refused {
		o.counts.refused.WithLabelValues(l.protocol, reason).Add(float64(n))
	}
	if l.first == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if last, ok := o.told[l.first.reason]; ok && l.now.Sub(last) < tellEvery {
		return
	}
	o.told[l.first.reason] = l.now
	o.log.Warn("samples from another process were left out", "protocol", l.protocol, "samples", l.refusedSamples(), "series", cutText(l.series), "reason", l.first.text)
}

const tellEvery = time.Minute
