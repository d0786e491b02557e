package generator

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestSpansBeforeTheStorageIsReady: they are read at once, so that the source may
// drop them, and stored when the storage has opened.
func TestSpansBeforeTheStorageIsReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ready := make(chan struct{})
		f := newFlooded(t, func(o *Options) { o.Ready = ready })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { f.Run(ctx); close(ended) }()
		f.source.add(t, spansOf(t, "trace=1 span=1 service=shop kind=server\n")...)
		time.Sleep(20 * time.Second)
		f.source.seal()
		f.source.drop()
		if st := f.Stats(); st.Pending != 1 || st.Collections != 0 || len(f.out.take()) != 0 {
			t.Errorf("before it is ready: %+v", st)
		}
		close(ready)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if st := f.Stats(); st.Pending != 0 || st.Collections == 0 || st.Missed != 0 {
			t.Errorf("when it is ready: %+v", st)
		}
		if got := f.found(callsTotal, "service", "shop"); got != 1 {
			t.Errorf("%v calls", got)
		}
		cancel()
		<-ended
		if f.log.String() != "" {
			t.Errorf("logged %s", f.log)
		}
	})
}

// TestLostSpansAreLogged: the process ends before the storage has opened, or when
// it takes nothing.
func TestLostSpansAreLogged(t *testing.T) {
	t.Parallel()
	for name, ready := range map[string]chan struct{}{"the metrics storage was not open yet": make(chan struct{}), "disk full": nil} {
		var log strings.Builder
		o := both()
		source := &memoryStore{}
		o.Source, o.Out, o.Logger = source, &recorder{fail: errors.New("disk full")}, slog.New(slog.NewTextHandler(&log, nil))
		if ready != nil {
			o.Ready = ready
		}
		g, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		source.add(t, spansOf(t, "trace=1 span=1 service=shop\ntrace=1 span=2 service=shop")...)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		g.Run(ctx)
		if got := log.String(); !strings.Contains(got, "spans=2") || !strings.Contains(got, name) || strings.Count(got, "\n") != 1 {
			t.Errorf("logged %q, want 2 spans and %s", got, name)
		}
	}
}
