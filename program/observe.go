package program

import (
	"context"
	"net/http"

	"etude/api"
	"etude/metrics"
	"etude/query"
)

// watched is the query API with everybody told who wants to know: the metrics,
// and the backend's own traces when they are on.
func (b *backendRun) watched(answers http.Handler) http.Handler {
	for _, kind := range api.Kinds {
		b.telemetry.Expect(string(kind))
	}
	observers := []api.Observer{func(r *http.Request, c api.Call) (context.Context, func(int)) {
		return r.Context(), b.telemetry.Query(string(c.Kind), c.GRPC)
	}}
	if b.self != nil {
		observers = append(observers, b.self.call)
	}
	return api.Observe(answers, observers...)
}

// queryObserver tells metrics and traces how a query goes.
type queryObserver struct {
	telemetry *metrics.Telemetry
	self      *selfTrace // may be nil
}

func (o queryObserver) Stage(ctx context.Context, stage query.Stage) (end func()) {
	return o.self.stage(ctx, stage)
}

func (o queryObserver) Done(ctx context.Context, w query.Work) {
	o.telemetry.Inspected(w.Spans)
	o.self.work(ctx, w)
}
