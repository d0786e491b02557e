package check

import "etude/traceql/syntax"

// maxLabels is the maximum number of names that a metrics function may group by; for functions that keep
// several numbers per group it is one less.
const maxLabels = 5

// Limits of a metrics query: numbers of quantile_over_time, each of which adds a series to each group, and
// values that compare() keeps of each attribute.
const (
	MaxQuantiles = 100
	MaxTopN      = 1000
)

// metrics checks the stages of a metrics query. It allows attributes of a parent, which read as missing.
func metrics(m *syntax.Metrics) error {
	limit := maxLabels
	switch m.Func {
	case "avg_over_time", "quantile_over_time", "histogram_over_time":
		limit--
	}
	if len(m.By) > limit {
		return errorf(m, "%s can be grouped by at most %d names, got %d", m.Func, limit, len(m.By))
	}
	if len(m.Quantiles) > MaxQuantiles {
		return errorf(m, "%s takes at most %d quantiles, got %d", m.Func, MaxQuantiles, len(m.Quantiles))
	}
	for _, q := range m.Quantiles {
		if q < 0 || q > 1 {
			return errorf(m, "quantile %s is not between 0 and 1", syntax.FloatText(q))
		}
	}
	for i := range m.Second {
		if s := &m.Second[i]; s.Func != "" && s.K < 1 {
			return errorf(s, "%s(%d): the number must be at least 1", s.Func, s.K)
		}
	}
	if m.Compare != nil {
		return compare(m)
	}
	return nil
}

func compare(m *syntax.Metrics) error {
	c := m.Compare
	if err := filter(c.Filter); err != nil {
		return err
	}
	switch {
	case c.TopN < 1:
		return errorf(m, "compare keeps at least 1 value, got %d", c.TopN)
	case c.TopN > MaxTopN:
		return errorf(m, "compare keeps at most %d values of an attribute, got %d", MaxTopN, c.TopN)
	case c.Start == 0 && c.End == 0:
	case c.Start <= 0 || c.End <= 0 || c.End <= c.Start:
		return errorf(m, "compare needs a window with 0 < start < end, got %d and %d", c.Start, c.End)
	}
	if len(m.Second) > 0 {
		return errorf(&m.Second[0], "no stage may follow compare")
	}
	return nil
}
