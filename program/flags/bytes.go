package flags

import (
	"fmt"
	"strconv"
	"strings"
)

// Bytes is a size on the command line: 512MiB, 2GiB, 1000000.
type Bytes int64

var byteUnits = []struct {
	name string
	size int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *Bytes) UnmarshalText(text []byte) error {
	number, unit := strings.TrimSpace(string(text)), int64(1)
	for _, u := range byteUnits {
		if head, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(head), u.size
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || v < 0 || v*float64(unit) >= 1<<63 {
		return fmt.Errorf("%q is not a size: want a number and a unit, as in 512MiB or 2GiB", text)
	}
	*b = Bytes(v * float64(unit))
	return nil
}

// String is the size in the largest unit that leaves it whole.
func (b *Bytes) String() string {
	for _, u := range byteUnits[:4] {
		if v := int64(*b); v != 0 && v%u.size == 0 {
			return fmt.Sprintf("%d%s", v/u.size, u.name)
		}
	}
	return strconv.FormatInt(int64(*b), 10)
}
