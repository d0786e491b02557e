package eval

import (
	"cmp"
	"math"
	"slices"
)

// bucketCount is how many values a bucket holds.
type bucketCount struct {
	edge  float64
	count float64
}

// quantileGroup is one group of quantile_over_time: its bucket series, and where
// its quantiles stand in the answer.
type quantileGroup struct {
	series  []int
	first   int       // place of the series of the first quantile
	overall []float64 // quantiles over the whole window
}

// quantiles estimates the quantiles of each group from its buckets.
func (a *accumulator) quantiles() (out []Series) {
	a.index = make([]int, a.seriesCount())
	at := map[uint32]int{}
	for n, pair := range a.buckets.list {
		i, ok := at[pair[0]]
		if !ok {
			i = len(a.places)
			at[pair[0]] = i
			a.places = append(a.places, quantileGroup{})
		}
		a.places[i].series = append(a.places[i].series, n)
		a.index[n] = i
	}
	for i := range a.places {
		g := &a.places[i]
		g.first = len(out)
		base := a.groupLabels(a.buckets.list[g.series[0]][0])
		for _, q := range a.m.quantiles {
			p := Attr{"p", Value{Type: Float, Float: q}}
			out = append(out, Series{Labels: append(slices.Clip(base), p), Samples: a.estimates(g, q)})
			g.overall = append(g.overall, estimate(a.bucketsOf(g, 0, a.w.Slots), q))
		}
	}
	return out
}

func (a *accumulator) estimates(g *quantileGroup, q float64) []Sample {
	out := make([]Sample, a.w.Slots)
	for slot := range out {
		out[slot] = Sample{slot, estimate(a.bucketsOf(g, slot, slot+1), q)}
	}
	return out
}

// bucketsOf returns the buckets of a group in some slots that hold anything, by
// edge.
func (a *accumulator) bucketsOf(g *quantileGroup, from, to int) (out []bucketCount) {
	for _, n := range g.series {
		total := 0.0
		for _, x := range a.cells[n*a.w.Slots+from : n*a.w.Slots+to] {
			total += x
		}
		if total > 0 {
			out = append(out, bucketCount{bucketEdge(a.buckets.list[n][1]), total})
		}
	}
	slices.SortFunc(out, func(a, b bucketCount) int { return cmp.Compare(a.edge, b.edge) })
	return out
}

// estimate returns a quantile of values in buckets: within the bucket in which
// it lies the values are taken to be spread evenly on the scale of powers of
// two. Without values it is 0.
func estimate(buckets []bucketCount, q float64) float64 {
	total := 0.0
	for _, b := range buckets {
		total += b.count
	}
	rank, below := max(1, math.Ceil(q*total)), 0.0
	for i, b := range buckets {
		if below+b.count < rank {
			below += b.count
			continue
		}
		if below+b.count == rank {
			return b.edge
		}
		hi := math.Log2(b.edge)
		lo := hi - 1
		if i > 0 {
			lo = math.Log2(buckets[i-1].edge)
		}
		return math.Exp2(lo + (hi-lo)*(rank-below)/b.count)
	}
	return 0
}
