package bench

import (
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	const rest = " S 1 2 3 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 100 1 1 18446744073709551615"
	for _, stat := range []string{"42 (etude)" + rest, "42 (a ) S (b)" + rest} {
		if cpu, err := parseStat([]byte(stat)); err != nil || cpu != 3*time.Second {
			t.Errorf("%s: %s, %v", stat, cpu, err)
		}
	}
	for _, stat := range []string{"", "42 (etude) S 1 2", "42 (etude) S 1 2 3 4 5 6 7 8 9 0 1 x 5"} {
		if _, err := parseStat([]byte(stat)); err == nil {
			t.Errorf("%q was read", stat)
		}
	}
	if _, err := (probe{pid: 1 << 30}).read(); err == nil {
		t.Error("a process that is not there was measured")
	}
}
