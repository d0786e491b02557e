package query

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

func TestReadAhead(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 3, 100} {
		var prepared atomic.Int64
		var used []int
		err := readAhead(n, func(i int) (int, error) { prepared.Add(1); return 10 * i, nil }, func(x int) error {
			used = append(used, x)
			return nil
		})
		if err != nil || len(used) != n || prepared.Load() != int64(n) || !slices.IsSorted(used) {
			t.Errorf("%d: %v, %d prepared, %v used", n, err, prepared.Load(), used)
		}
	}
}

// TestReadAheadEnds: with the first error in order, whoever came first, and with
// nothing running any more.
func TestReadAheadEnds(t *testing.T) {
	t.Parallel()
	var running atomic.Int64
	prepare := func(i int) (int, error) {
		running.Add(1)
		defer running.Add(-1)
		if i%2 == 1 && i > 10 {
			return 0, fmt.Errorf("at %d", i)
		}
		return i, nil
	}
	err := readAhead(1000, prepare, func(int) error { return nil })
	if err == nil || err.Error() != "at 11" || running.Load() != 0 {
		t.Errorf("%v with %d running, want the error at 11", err, running.Load())
	}
	enough := errors.New("enough")
	err = readAhead(1000, prepare, func(x int) error {
		if x == 6 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || running.Load() != 0 {
		t.Errorf("%v with %d running, want that it was enough", err, running.Load())
	}
	defer func() {
		if p := fmt.Sprint(recover()); !strings.Contains(p, "index out of range") || running.Load() != 0 {
			t.Errorf("%s with %d running, want the panic of 5", p, running.Load())
		}
	}()
	_ = readAhead(1000, func(i int) (int, error) { return make([]int, 5)[i], nil }, func(int) error { return nil })
	t.Error("a panic was lost")
}
