package api

import (
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"etude/query"
	"etude/traceql/syntax"
)

// metricsRange answers /api/metrics/query_range. The answer includes the newest 30 seconds, which Tempo leaves
// out.
func (s *server) metricsRange(r *http.Request, o *out) error {
	v := r.URL.Query()
	req, err := metricsRequest(v, time.Now())
	if err != nil {
		return err
	}
	if req.Step, err = stepParam(v); err != nil {
		return err
	}
	exemplars, err := uintParam(v, "exemplars")
	if err != nil {
		return err
	}
	req.Exemplars = int(min(exemplars, query.MaxExemplars))
	result, err := s.metrics(r, o, req)
	if err != nil {
		return err
	}
	return o.rangeJSON(result, req.MaxSeries)
}

// metricsInstant answers /api/metrics/query.
func (s *server) metricsInstant(r *http.Request, o *out) error {
	req, err := metricsRequest(r.URL.Query(), time.Now())
	if err != nil {
		return err
	}
	req.Instant = true
	result, err := s.metrics(r, o, req)
	if err != nil {
		return err
	}
	return o.instantJSON(result, req.MaxSeries)
}

func (s *server) metrics(r *http.Request, o *out, req query.MetricsRequest) (*query.MetricsResult, error) {
	ctx, err := o.begin(r.Context())
	if err != nil {
		return nil, err
	}
	o.contentType = typeJSON
	return s.Engine.Metrics(ctx, req)
}

// metricsRequest parses the parameters that both routes share.
func metricsRequest(v url.Values, now time.Time) (req query.MetricsRequest, err error) {
	req.Query = v.Get("q")
	if req.Query == "" {
		req.Query = v.Get("query")
	}
	if req.Start, req.End, err = metricsTimes(v, now); err != nil {
		return req, err
	}
	limit, err := uintParam(v, "maxSeries")
	req.MaxSeries = int(min(limit, math.MaxInt32))
	return req, err
}

// metricsTimes parses start, end and since. The default end is now. The default start is one hour, or since,
// before the end, or before now if that is earlier.
func metricsTimes(v url.Values, now time.Time) (start, end uint64, err error) {
	end = uint64(now.UnixNano())
	if v.Get("end") != "" {
		if end, err = flexibleTime(v, "end"); err != nil {
			return 0, 0, err
		}
	}
	if v.Get("start") != "" {
		start, err = flexibleTime(v, "start")
		return start, end, err
	}
	since := time.Hour
	if s := v.Get("since"); s != "" {
		ns, ok := syntax.ParseDuration(s)
		if !ok || ns <= 0 {
			return 0, 0, badRequest("invalid since: %q is not a duration such as 1h or 2d", s)
		}
		since = time.Duration(ns)
	}
	from := min(end, uint64(now.UnixNano()))
	return from - min(from, uint64(since)), end, nil
}

// stepParam parses a step in seconds or as a duration; 0 when absent.
func stepParam(v url.Values) (uint64, error) {
	s := v.Get("step")
	if s == "" {
		return 0, nil
	}
	ns, err := strconv.ParseFloat(s, 64)
	ns *= 1e9
	if err != nil {
		d, err := time.ParseDuration(s)
		if err != nil {
			return 0, badRequest("invalid step: %q is neither seconds nor a duration such as 15s", s)
		}
		ns = float64(d)
	}
	if !(ns >= 1 && ns < math.MaxInt64) {
		return 0, badRequest("invalid step: %q is not greater than zero", s)
	}
	return uint64(ns), nil
}
