package block

import (
	"reflect"
	"slices"
	"testing"

	"etude/trace"
)

// The largest attributes of the data get columns, and keep them as long as they are
// about the largest.
func TestChoose(t *testing.T) {
	t.Parallel()
	small, large := dataOf(t, "v5"), dataOf(t, "v5groups")
	for _, f := range []Format{VParquet4, VParquet5} {
		choose := func(before []Dedicated, views ...*trace.View) []Dedicated {
			return written(t, WriteOptions{Format: f, Before: before}, views...).Meta.Dedicated
		}
		first := choose(nil, small)
		if len(first) < 5 || !reflect.DeepEqual(first, f.Allowed(first)) {
			t.Errorf("%s: %v", f, first)
		}
		if again := choose(first[:1], small, large); len(again) <= 1 {
			t.Errorf("%s: kept %v, which gains little", f, again)
		}
		other := choose(nil, large)
		slices.Reverse(other)
		if again := choose(other, large); !reflect.DeepEqual(again, other) {
			t.Errorf("%s: changed %v to %v for nothing", f, other, again)
		}
	}
}
