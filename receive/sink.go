package receive

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"etude/otlp"
	"etude/receive/spans"
)

// Sink accepts spans as the bytes of an OTLP ExportTraceServiceRequest (opentelemetry-proto,
// collector/trace/v1), and returns when they are durable.
//
// After Append returns, the payload belongs to the caller again: a Sink copies the parts it keeps, and never
// writes to it. Append must be safe for concurrent use. With [Config.Multitenancy] the context has the tenant;
// see package tenant.
//
// The Sink rejects spans that can never be stored, and reports their number and the reason; it stores the
// others. An error concerns the whole request. The error's methods select the client's answer:
//
//	InvalidSpans() bool          true: the sender's mistake; 400, INVALID_ARGUMENT
//	RetryAfter() time.Duration   too much at once, come back after this time;
//	                             429, RESOURCE_EXHAUSTED
//	Unavailable() bool           true, besides RetryAfter: it is not the load,
//	                             nothing can be stored now (the disk is full,
//	                             the store is closed); 503, UNAVAILABLE
//
// The last two tell the client the time to wait: Retry-After, RetryInfo. Any other error is internal: 500,
// INTERNAL, with the text only in the log.
type Sink interface {
	Append(ctx context.Context, payload []byte) (Rejected, error)
}

// Rejected describes the spans of a request that a Sink rejected; zero: none.
type Rejected = otlp.Rejected

// intake passes the requests of every protocol to the Sink.
type intake struct {
	sink      Sink
	metrics   MetricsSink // nil: metrics are not stored
	limits    Limits
	multi     bool                        // see Config.Multitenancy
	authorize func(header []string) error // see Config.Authorize
	gate      *gate
	conns     *registry
	stats     *Stats
	logger    *slog.Logger

	toldLogs, toldMetrics, toldTLS atomic.Bool // whether the log has reported these
	toldOverload                   rarely
}

func newIntake(c Config, sink Sink) *intake {
	in := &intake{sink: sink, metrics: c.Metrics, limits: c.Limits.withDefaults(), multi: c.Multitenancy, authorize: c.Authorize, stats: c.Stats, logger: c.Logger}
	if in.stats == nil {
		in.stats = new(Stats)
	}
	if in.logger == nil {
		in.logger = slog.New(slog.DiscardHandler)
	}
	in.conns = newRegistry(&in.limits, in.stats, in.logger)
	in.gate = &gate{limits: &in.limits, conns: in.conns}
	in.stats.gate.Store(in.gate)
	return in
}

// submit counts the spans, passes the payload to the Sink and updates the counters. A request without spans
// succeeds without the Sink.
func (in *intake) submit(ctx context.Context, p Protocol, payload []byte) (rejected Rejected, err error) {
	spans, err := countSpans(payload)
	if err != nil {
		return rejected, err
	}
	switch {
	case spans > in.limits.Spans:
		err = refuse(tooLarge, "request has %d spans, the limit is %d; send smaller batches", spans, in.limits.Spans)
	case spans > 0:
		rejected, err = in.append(ctx, payload)
	}
	if err != nil {
		in.stats.refuseSpans(p, err, spans)
		return rejected, err
	}
	in.stats.accept(p, spans-rejected.Spans, len(payload))
	if rejected.Spans > 0 {
		in.stats.reject(p, rejected.Spans)
		in.logger.Debug("leave out spans", "protocol", string(p), "spans", rejected.Spans, "of", spans, "err", rejected.Reason)
	}
	return rejected, nil
}

// translation appends to dst the OTLP of another protocol's request.
type translation func(dst []byte, bounds spans.Bounds) ([]byte, error)

// translate submits f's translation of a request of another protocol. These protocols cannot report a partial
// success, so translate refuses a request only when none of its spans is valid.
func (in *intake) translate(ctx context.Context, from Protocol, f translation) error {
	limit := budget{in: in}
	defer limit.free()
	payload, err := f(getBuffer(), spans.Bounds{Spans: in.limits.Spans, Grow: limit.check})
	defer func() { putBuffer(payload) }()
	if err != nil {
		return translateRefusal(err)
	}
	rejected, err := in.submit(ctx, from, payload)
	if err == nil && rejected.Spans > 0 {
		if all, _ := countSpans(payload); rejected.Spans == all {
			return refuse(invalid, "%s", rejected.Reason)
		}
	}
	return err
}

// translateRefusal classifies the errors of translations.
func translateRefusal(err error) error {
	var r *refusal
	var many spans.TooMany
	switch {
	case errors.As(err, &r): // of the budget
		return r
	case errors.As(err, &many):
		return refuse(tooLarge, "%v", many)
	}
	return refuse(malformed, "%v", err)
}

func (in *intake) append(ctx context.Context, payload []byte) (Rejected, error) {
	rejected, err := in.sink.Append(ctx, payload)
	if err == nil {
		return rejected, nil
	}
	return Rejected{}, in.storeRefusal(ctx, "store spans", err)
}

// storeRefusal returns the refusal for an error of a sink. It logs internal errors.
func (in *intake) storeRefusal(ctx context.Context, doing string, err error) *refusal {
	r := sinkRefusal(ctx, err)
	if r.reason == internal {
		in.logger.Error(doing, "err", err)
	}
	return r
}

// tellOnce logs the answer to a kind of client the first time.
func (in *intake) tellOnce(told *atomic.Bool, text string) {
	if !told.Swap(true) {
		in.logger.Info("a client sends telemetry that is not stored", "answer", text)
	}
}

// refused counts a refusal and returns it as a *refusal.
func (in *intake) refused(p Protocol, err error) *refusal {
	r := readRefusal(err)
	in.stats.refuse(p, r.reason)
	if r.reason == overloaded && in.toldOverload.now() {
		in.logger.Warn("refuse requests: too much load; clients are told to retry", "protocol", string(p), "err", r.text)
	}
	in.logger.Debug("refuse spans", "protocol", string(p), "reason", reasons[r.reason], "err", r.text)
	return r
}
