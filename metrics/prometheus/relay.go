package prometheus

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang/snappy"
	client "github.com/prometheus/client_golang/prometheus"
	config_util "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage/remote"
)

// A relay receives requests from Prometheus' queues and sends them to the remote ends of the options.
//
// A Prometheus refuses a whole request with 400 when it cannot store one of its samples, for example one out of
// order. The queue drops such a request, and up to 2,000 good samples with it. The relay instead sends the
// request again in halves, and splits a refused half again, until only the series with bad samples is left out.
// For some time it sends that series separately, so that later requests are not refused because of it.
//
// Rejected: remote write 2, in which a remote end stores the good samples of a bad request. Its receivers
// refuse exemplars without a sample, and the queue sends exemplars that way. Older remote ends do not support
// it.
//
// The queues cannot call code, so the relay is an HTTP server on the loopback address. It accepts only requests
// with its secret, and sends them only to the configured ends.
type relay struct {
	ends     []*relayEnd // in the order of the options
	secret   string
	listener net.Listener
	server   *http.Server
}

const (
	relaySecret   = "X-Etude-Relay"
	relayPieces   = 256              // requests that one request may become
	rememberBad   = 10 * time.Minute // time for which a series is sent separately
	mostBadSeries = 10_000           // remembered for each end
)

// relayEnd is one remote end.
type relayEnd struct {
	name   string
	sender remote.WriteClient
	log    *slog.Logger
	counts *relayCounts

	mu   sync.Mutex
	bad  map[string]time.Time // refused series, by their labels, with the time of the refusal
	told time.Time            // time of the last log line about refusals
}

// relayCounts are the metrics about samples that remote ends refuse.
type relayCounts struct{ refused, split *client.CounterVec }

func newRelayCounts() *relayCounts {
	return &relayCounts{
		refused: client.NewCounterVec(client.CounterOpts{Name: "etude_metrics_remote_refused_samples_total",
			Help: "Samples and exemplars that a remote end refused individually."}, []string{"end"}),
		split: client.NewCounterVec(client.CounterOpts{Name: "etude_metrics_remote_split_requests_total",
			Help: "Requests that a remote end refused and that were sent again in pieces."}, []string{"end"}),
	}
}

// startRelay listens for the queues of some ends; it returns nil when there are none.
func startRelay(ends []*config.RemoteWriteConfig, counts *relayCounts, log *slog.Logger) (*relay, error) {
	if len(ends) == 0 {
		return nil, nil
	}
	r := &relay{secret: rand.Text()}
	mux := http.NewServeMux()
	for i, end := range ends {
		sender, err := remote.NewWriteClient("relay", &remote.ClientConfig{URL: end.URL, WriteProtoMsg: end.ProtobufMessage, Timeout: end.RemoteTimeout,
			HTTPClientConfig: end.HTTPClientConfig, Headers: end.Headers, RetryOnRateLimit: true})
		if err != nil {
			return nil, fmt.Errorf("send metrics to %s: %w", end.URL.Redacted(), err)
		}
		e := &relayEnd{name: end.URL.Redacted(), sender: sender, log: log, counts: counts, bad: map[string]time.Time{}}
		r.ends = append(r.ends, e)
		mux.HandleFunc("POST /"+strconv.Itoa(i), e.serve)
	}
	var err error
	if r.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("listen for metrics on the loopback address: %w", err)
	}
	r.server = &http.Server{Handler: r.guard(mux), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	go func() { _ = r.server.Serve(r.listener) }()
	return r, nil
}

func (r *relay) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if subtle.ConstantTimeCompare([]byte(req.Header.Get(relaySecret)), []byte(r.secret)) != 1 {
			http.Error(w, "403 this port is only for metrics that this process sends", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, req)
	})
}

func (r *relay) close() error {
	if r == nil {
		return nil
	}
	return r.server.Close()
}

// through returns a configuration whose queues send to the relay. The last remote ends of a configuration are
// those of the options.
func (r *relay) through(cfg *config.Config) *config.Config {
	if r == nil {
		return cfg
	}
	changed := *cfg
	changed.RemoteWriteConfigs = slices.Clone(cfg.RemoteWriteConfigs)
	first := len(changed.RemoteWriteConfigs) - len(r.ends)
	for i := range r.ends {
		end := *changed.RemoteWriteConfigs[first+i]
		at, _ := end.URL.Parse(fmt.Sprintf("http://%s/%d", r.listener.Addr(), i))
		end.Name, end.URL = fmt.Sprintf("option-%d", i+1), &config_util.URL{URL: at}
		end.HTTPClientConfig, end.Headers = config_util.DefaultHTTPClientConfig, map[string]string{relaySecret: r.secret}
		changed.RemoteWriteConfigs[first+i] = &end
	}
	return &changed
}

// serve forwards one request of the queue. 503 makes the queue send it again.
func (e *relayEnd) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequestBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	attempt, _ := strconv.Atoi(r.Header.Get("Retry-Attempt"))
	if err := e.send(r.Context(), body, attempt); err != nil {
		status := http.StatusBadRequest
		if isPassing(err) {
			status = http.StatusServiceUnavailable
		}
		http.Error(w, err.Error(), status)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// isPassing reports whether an error may be temporary.
func isPassing(err error) bool {
	_, recoverable := errors.AsType[remote.RecoverableError](err)
	return recoverable || errors.Is(err, context.Canceled)
}

// send sends a request, in pieces if the end refuses it because of its samples. It sends a request with
// recently refused series in two pieces from the start.
func (e *relayEnd) send(ctx context.Context, body []byte, attempt int) error {
	good, bad := e.sorted(body)
	if bad == nil { // Fast path
		_, err := e.sender.Store(ctx, body, attempt)
		if !isRefusal(err) {
			return err
		}
		if good, bad = e.decoded(body), nil; good == nil {
			return err
		}
	}
	e.counts.split.WithLabelValues(e.name).Inc()
	p := &pieces{end: e, ctx: ctx, left: relayPieces}
	p.store(bySeries(good))
	if bad != nil {
		p.store(bySeries(bad))
	}
	e.tell(p)
	return p.failed
}

// isRefusal reports whether the end understood the request and refused it because of its samples.
func isRefusal(err error) bool {
	return err != nil && !isPassing(err) && strings.Contains(err.Error(), "HTTP status 400")
}

func (e *relayEnd) decoded(body []byte) *prompb.WriteRequest {
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		return nil
	}
	var request prompb.WriteRequest
	if request.Unmarshal(raw) != nil || len(request.Timeseries) == 0 {
		return nil
	}
	return &request
}

// sorted splits a request by recent refusals; bad is nil without any.
func (e *relayEnd) sorted(body []byte) (good, bad *prompb.WriteRequest) {
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(e.bad, func(_ string, at time.Time) bool { return time.Since(at) > rememberBad })
	if len(e.bad) == 0 {
		return nil, nil
	}
	request := e.decoded(body)
	if request == nil {
		return nil, nil
	}
	good, bad = &prompb.WriteRequest{Metadata: request.Metadata}, &prompb.WriteRequest{}
	for _, s := range request.Timeseries {
		if _, known := e.bad[nameOf(s)]; known {
			bad.Timeseries = append(bad.Timeseries, s)
		} else {
			good.Timeseries = append(good.Timeseries, s)
		}
	}
	if len(bad.Timeseries) == 0 {
		return nil, nil
	}
	return good, bad
}

// nameOf returns the labels of a series as one text.
func nameOf(s prompb.TimeSeries) string {
	var b strings.Builder
	for _, l := range s.Labels {
		b.WriteString(l.Name + "\xff" + l.Value + "\xff")
	}
	return b.String()
}

// isBad reports whether a series was refused recently.
func (e *relayEnd) isBad(s prompb.TimeSeries) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, bad := e.bad[nameOf(s)]
	return bad
}

// remember records a refused series.
func (e *relayEnd) remember(s prompb.TimeSeries) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.bad) < mostBadSeries {
		e.bad[nameOf(s)] = time.Now()
	}
}

// pieces is one request that is sent in pieces.
type pieces struct {
	end     *relayEnd
	ctx     context.Context
	left    int // number of requests that may still be sent
	failed  error
	refused int // number of samples and exemplars
	first   string
	why     error
}

// store sends a piece, or its halves if it is refused. It stops after a temporary error: the queue sends
// everything again, and an end accepts a sample that it already has.
func (p *pieces) store(request *prompb.WriteRequest) {
	if p.failed != nil || len(request.Timeseries)+len(request.Metadata) == 0 {
		return
	}
	err := p.try(request)
	switch n := len(request.Timeseries); {
	case err == nil:
	case !isRefusal(err):
		p.failed = err
	case p.left == 0:
		p.refuse(request, err)
	case n > 1:
		p.store(&prompb.WriteRequest{Timeseries: request.Timeseries[:n/2], Metadata: request.Metadata})
		p.store(&prompb.WriteRequest{Timeseries: request.Timeseries[n/2:]})
	case n == 1 && len(request.Timeseries[0].Samples) > 1 && !p.end.isBad(request.Timeseries[0]):
		p.halve(request.Timeseries[0], 3)
	default:
		p.refuse(request, err)
	}
}

// halve sends a series in halves, and these in halves, up to times times: often only the first samples are too
// old.
func (p *pieces) halve(s prompb.TimeSeries, times int) {
	n := len(s.Samples)
	for _, half := range [][]prompb.Sample{s.Samples[:n/2], s.Samples[n/2:]} {
		part := prompb.TimeSeries{Labels: s.Labels, Samples: half}
		if &half[0] == &s.Samples[n/2] { // the newer half
			part.Exemplars, part.Histograms = s.Exemplars, s.Histograms
		}
		request := &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{part}}
		err := p.try(request)
		switch {
		case err == nil:
		case !isRefusal(err):
			p.failed = err
			return
		case times > 1 && len(half) > 1 && p.left > 0:
			p.halve(part, times-1)
		default:
			p.refuse(request, err)
		}
	}
}

// try sends a piece while pieces are left.
func (p *pieces) try(request *prompb.WriteRequest) error {
	if p.left == 0 {
		return fmt.Errorf("HTTP status 400: more than %d pieces were refused", relayPieces)
	}
	raw, err := request.Marshal()
	if err != nil {
		return fmt.Errorf("encode samples: %w", err)
	}
	p.left--
	_, err = p.end.sender.Store(p.ctx, snappy.Encode(nil, raw), 0)
	return err
}

// bySeries joins the samples of a series, which the queue sends as separate series.
func bySeries(request *prompb.WriteRequest) *prompb.WriteRequest {
	together := &prompb.WriteRequest{Metadata: request.Metadata}
	places := map[string]int{}
	for _, s := range request.Timeseries {
		name := nameOf(s)
		place, known := places[name]
		if !known {
			places[name] = len(together.Timeseries)
			together.Timeseries = append(together.Timeseries, s)
			continue
		}
		t := &together.Timeseries[place]
		t.Samples, t.Histograms, t.Exemplars = append(t.Samples, s.Samples...), append(t.Histograms, s.Histograms...), append(t.Exemplars, s.Exemplars...)
	}
	return together
}

func (p *pieces) refuse(request *prompb.WriteRequest, why error) {
	for _, s := range request.Timeseries {
		p.refused += len(s.Samples) + len(s.Histograms) + len(s.Exemplars)
		if len(request.Timeseries) == 1 {
			p.end.remember(s)
		}
		if p.first == "" {
			p.first, p.why = seriesText(s), why
		}
	}
}

func seriesText(s prompb.TimeSeries) string {
	m := model.Metric{}
	for _, l := range s.Labels {
		m[model.LabelName(l.Name)] = model.LabelValue(l.Value)
	}
	return m.String()
}

// tell counts refused samples, and logs them once a minute.
func (e *relayEnd) tell(p *pieces) {
	if p.refused == 0 {
		return
	}
	e.counts.refused.WithLabelValues(e.name).Add(float64(p.refused))
	e.mu.Lock()
	defer e.mu.Unlock()
	if time.Since(e.told) < tellEvery {
		return
	}
	e.told = time.Now()
	e.log.Warn("a remote end refused samples; the other samples of their requests were sent", "end", e.name, "samples", p.refused,
		"series", cutText(p.first), "error", cutText(p.why.Error()))
}
