package trace_test

import (
	"testing"

	"etude/trace"
)

// closing counts how often a Snapshot is closed.
type closing struct {
	trace.Snapshot
	closed int
}

func (c *closing) Close() { c.closed++ }

// Join closes each snapshot once: those without parts at once, the others with the joined one.
func TestJoinClosesOnce(t *testing.T) {
	t.Parallel()
	part := func() *closing {
		return &closing{Snapshot: trace.Resident(make([]trace.PartID, 1), []*trace.View{trace.NewTable().View()})}
	}
	empty := func() *closing { return &closing{Snapshot: trace.Resident(nil, nil)} }
	for _, all := range [][]*closing{
		{empty(), part()}, {part(), empty()}, {empty(), empty()}, {part(), empty(), part()}, {empty()}, {},
	} {
		var list []trace.Snapshot
		want := 0
		for _, s := range all {
			list, want = append(list, s), want+len(s.Parts())
		}
		joined := trace.Join(list...)
		if got := len(joined.Parts()); got != want {
			t.Errorf("%d parts, want %d", got, want)
		}
		joined.Close()
		for i, s := range all {
			if s.closed != 1 {
				t.Errorf("snapshot %d of %d was closed %d times", i, len(all), s.closed)
			}
		}
	}
}
