package evaltest

import (
	"context"
	"testing"

	"etude/internal/testkit"
	"etude/trace"
)

// Snapshot takes a snapshot of a source for as long as the test runs.
func Snapshot(t testing.TB, src trace.Source) trace.Snapshot {
	t.Helper()
	s, err := src.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// Sources returns Views as a source in each of the ways in which parts may be there:
// all resident; all on disk, with the declared columns alone; and the last one resident.
func Sources(views []*trace.View) []trace.Source {
	v := testkit.Views(views)
	return []trace.Source{v, testkit.Cold{Views: v}, testkit.Cold{Views: v, Warm: 1}}
}
