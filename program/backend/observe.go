package backend

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/trace"

	"etude/api"
	"etude/query"
	"etude/telemetry"
)

// watched returns the query API with its observers: the metrics, and the backend's own traces when they are on.
func (b *backendRun) watched(answers http.Handler) http.Handler {
	for _, kind := range api.Kinds {
		b.telemetry.Expect(string(kind))
	}
	var observers []api.Observer
	if b.self != nil { // first, so that the metrics know the trace
		observers = append(observers, b.self.call)
	}
	return api.Observe(answers, append(observers, b.measure)...)
}

// measure implements [api.Observer] for the metrics.
func (b *backendRun) measure(r *http.Request, c api.Call) (context.Context, func(status int)) {
	ctx, end := r.Context(), b.telemetry.Query(string(c.Kind), c.GRPC)
	return ctx, func(status int) {
		id := ""
		if span := trace.SpanContextFromContext(ctx); b.self != nil && span.IsSampled() {
			id = span.TraceID().String()
		}
		end(status, id)
	}
}

// queryObserver reports the progress of queries to metrics and traces.
type queryObserver struct {
	telemetry *telemetry.Telemetry
	self      *selfTrace // may be nil
}

func (o queryObserver) Stage(ctx context.Context, stage query.Stage) (end func()) {
	return o.self.stage(ctx, stage)
}

func (o queryObserver) Done(ctx context.Context, w query.Work) {
	o.telemetry.Inspected(w.Spans)
	o.self.work(ctx, w)
}
