package block

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"etude/trace"
)

// fewChecks is a context that ends at its n-th check.
type fewChecks struct {
	context.Context
	left atomic.Int64
}

func allowChecks(n int) context.Context {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	c := &fewChecks{Context: ended}
	c.left.Store(int64(n))
	return c
}

// Done never ends: only checks count.
func (c *fewChecks) Done() <-chan struct{} { return nil }

func (c *fewChecks) Err() error {
	if c.left.Add(-1) >= 0 {
		return nil
	}
	return c.Context.Err()
}

// A read that ends anywhere leaves nothing behind: the next one finds what it would have found without it.
func TestInterruptedReads(t *testing.T) {
	t.Parallel()
	b := written(t, WriteOptions{PageSpans: 9}, dataOf(t, "weird"))
	p := b.parts[0]
	whole := wholeView(t, p, trace.Everything())
	id, condition := whole.TraceIDs[len(whole.TraceIDs)/2], conditionsOf(whole)[0]
	view := func(v *trace.View, err error) (string, error) {
		if err != nil || v == nil {
			return "", err
		}
		return cmp.Diff(nil, exactly(v)), nil
	}
	for name, read := range map[string]func(context.Context) (string, error){
		"part": func(ctx context.Context) (string, error) { return view(p.open(ctx, trace.Everything())) },
		"times": func(ctx context.Context) (string, error) {
			return times(p.open(ctx, &trace.Need{Columns: trace.TraceTimes}))
		},
		"trace": func(ctx context.Context) (string, error) { return view(p.openTrace(ctx, id, trace.Everything())) },
		"page":  func(ctx context.Context) (string, error) { return view(p.openKept(ctx, 1, trace.Everything())) },
		"pages": func(ctx context.Context) (string, error) { v, err := p.pages(ctx); return fmt.Sprint(v), err },
		"seek": func(ctx context.Context) (string, error) {
			v, err := p.seek(ctx, &condition)
			return fmt.Sprint(v), err
		},
		"no sidecar": func(ctx context.Context) (string, error) {
			return withoutSidecar(b, func() (string, error) { return view(p.open(ctx, trace.Everything())) })
		},
	} {
		b.cache.drop(b)
		want, err := read(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		interrupted := 0
		for n := 0; ; n++ {
			b.cache.drop(b)
			if _, err := read(allowChecks(n)); err == nil {
				break
			} else if !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: %v", name, err)
			}
			interrupted++
			if got, err := read(context.Background()); err != nil || got != want {
				t.Fatalf("%s: after an end at check %d (%v):\n%s", name, n, err, cmp.Diff(want, got))
			}
		}
		if interrupted == 0 {
			t.Errorf("%s: no read was interrupted", name)
		}
	}
}

func times(v *trace.View, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return fmt.Sprint(len(v.TraceIDs), v.TraceStart, v.TraceEnd, v.Start, v.End), nil
}

func withoutSidecar(b *Block, read func() (string, error)) (string, error) {
	file := b.sidecar
	b.sidecar = nil
	defer func() { b.sidecar = file }()
	return read()
}
