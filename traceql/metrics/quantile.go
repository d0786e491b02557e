package metrics

import (
	"cmp"
	"math"
	"slices"

	"etude/traceql/eval"
)

// bucketCount is the number of values in a bucket.
type bucketCount struct {
	edge  float64
	count float64
}

// quantileGroup is one group of quantile_over_time: its bucket series, and the place of its quantiles in the answer.
type quantileGroup struct {
	series  []int     // by edge
	first   int       // place of the series of the first quantile
	overall []float64 // quantiles over the whole window
}

// quantiles estimates the quantiles of each group from its buckets.
func (a *accumulator) quantiles() (out []Series) {
	a.index = make([]int, a.groups.series())
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
		slices.SortFunc(g.series, func(x, y int) int { return cmp.Compare(a.edge(x), a.edge(y)) })
		if a.poll.Stop(len(g.series)) {
			return out
		}
		g.first = len(out)
		base := a.groupLabels(a.buckets.list[g.series[0]][0])
		for _, q := range a.q.quantiles {
			p := attr("p", eval.Number(q))
			if a.poll.Stop(a.slots * len(g.series)) {
				return out
			}
			out = append(out, Series{Labels: append(slices.Clip(base), p), Samples: a.estimates(g, q)})
			g.overall = append(g.overall, estimate(a.bucketsOf(g, 0, a.slots, nil), q))
		}
	}
	return out
}

func (a *accumulator) estimates(g *quantileGroup, q float64) []Sample {
	out := make([]Sample, a.slots)
	var buckets []bucketCount
	for slot := range out {
		buckets = a.bucketsOf(g, slot, slot+1, buckets[:0])
		out[slot] = Sample{slot, estimate(buckets, q)}
	}
	return out
}

// edge returns the upper edge of the bucket of a series.
func (a *accumulator) edge(series int) float64 { return bucketEdge(a.buckets.list[series][1]) }

// bucketsOf appends the non-empty buckets of a group in some slots, sorted by edge.
func (a *accumulator) bucketsOf(g *quantileGroup, from, to int, out []bucketCount) []bucketCount {
	for _, n := range g.series {
		total := 0.0
		for _, x := range a.values[n*a.slots+from : n*a.slots+to] {
			total += x
		}
		if total > 0 {
			out = append(out, bucketCount{a.edge(n), total})
		}
	}
	return out
}

// estimate returns a quantile of values in buckets: it assumes that the values within a bucket are spread
// evenly on a logarithmic scale. Without values it is 0.
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
