package block

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/rle"
)

// What the library encodes is decoded: deltas of every width, at every length.
func TestDecodesDeltas(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 8))
	for width := range 65 {
		for _, n := range []int{0, 1, 2, 31, 32, 33, 127, 128, 129, 130, 1000} {
			var want []int64
			for range n {
				want = append(want, int64(random.Uint64()>>(64-width)))
			}
			b, err := new(delta.BinaryPackedEncoding).EncodeInt64(nil, want)
			if err != nil {
				t.Fatal(err)
			}
			got, rest, err := decodeDeltas(nil, append(b, "rest"...), n)
			if err != nil || string(rest) != "rest" || fmt.Sprint(signed(got)) != fmt.Sprint(want) {
				t.Errorf("width %d, %d values: %v, rest %q", width, n, err, rest)
			}
			if _, _, err := decodeDeltas(nil, b, n+1); err == nil {
				t.Errorf("width %d: %d values were read where %d are", width, n+1, n)
			}
		}
	}
}

func signed(values []uint64) (all []int64) {
	for _, v := range values {
		all = append(all, int64(v))
	}
	return all
}

func TestDecodesLevelsAndIndexes(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(9, 10))
	for greatest := uint8(1); greatest < 6; greatest++ {
		for _, n := range []int{1, 7, 8, 9, 100, 5000} {
			levels, indexes := make([]uint8, n), make([]int32, n)
			for i := range levels {
				if i > 0 && random.IntN(9) > 0 {
					levels[i], indexes[i] = levels[i-1], indexes[i-1]
				} else {
					levels[i], indexes[i] = uint8(random.IntN(int(greatest)+1)), int32(random.IntN(1000))
				}
			}
			b, err := (&rle.Encoding{BitWidth: int(bitsFor(greatest))}).EncodeLevels(nil, levels)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decodeLevels(nil, b, greatest, n)
			count, err2 := countLevels(b, greatest, n)
			want := 0
			for _, l := range levels {
				if l == greatest {
					want++
				}
			}
			if err != nil || err2 != nil || !slices.Equal(got, levels) || count != want {
				t.Errorf("levels up to %d, %d of them: %v, %v, %d are the greatest, want %d", greatest, n, err, err2, count, want)
			}
			b, err = (&rle.DictionaryEncoding{}).EncodeInt32(nil, indexes)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := decodeIndexes(nil, b, n, 1000); err != nil || fmt.Sprint(got) != fmt.Sprint(indexes) {
				t.Errorf("%d indexes: %v", n, err)
			}
			if _, err := decodeIndexes(nil, b, n, int(slices.Max(indexes))); err == nil {
				t.Error("an index past the dictionary was read")
			}
		}
	}
}

func BenchmarkDeltas(b *testing.B) {
	var values []int64
	for i := range 65536 {
		values = append(values, int64(i)*1_000_003%(1<<40))
	}
	data, err := new(delta.BinaryPackedEncoding).EncodeInt64(nil, values)
	if err != nil {
		b.Fatal(err)
	}
	var dst []uint64
	for b.Loop() {
		if dst, _, err = decodeDeltas(dst[:0], data, len(values)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(values)), "ns/value")
}
