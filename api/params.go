package api

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"etude/query"
	"etude/traceql/syntax"
)

// badRequest is a mistake of the client.
func badRequest(format string, args ...any) error {
	return &query.InputError{Err: fmt.Errorf(format, args...)}
}

// readable returns an error when a parameter cannot be parsed. net/url drops such parameters, and a search
// without its q would find everything.
func readable(rawQuery string) error {
	if _, err := url.ParseQuery(rawQuery); err != nil {
		return badRequest("invalid parameters: %w (in a value, write %%3B for ; and %%25 for %%)", err)
	}
	return nil
}

// uintParam parses a 32-bit number; 0 when absent.
func uintParam(v url.Values, name string) (uint32, error) {
	s := v.Get(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, badRequest("invalid %s: %q is not a whole number", name, s)
	}
	return uint32(n), nil
}

// durationParam parses a duration in Go's notation; 0 when absent.
func durationParam(v url.Values, name string) (time.Duration, error) {
	s := v.Get(name)
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, badRequest("invalid %s: %w", name, err)
	}
	return d, nil
}

// window parses start, end and since into unix nanoseconds. It returns 0, 0, which selects everything, when all
// are absent. strict accepts only whole seconds.
func window(v url.Values, strict bool, now time.Time) (start, end uint64, err error) {
	if s := v.Get("since"); s != "" {
		d, ok := syntax.ParseDuration(s)
		if !ok || d <= 0 {
			return 0, 0, badRequest("invalid since: %q is not a duration such as 1h or 2d", s)
		}
		// There is no upper bound at now: senders' clocks may be ahead.
		return uint64(now.Add(-d).UnixNano()), math.MaxUint64, nil
	}
	hasStart, hasEnd := v.Get("start") != "", v.Get("end") != ""
	if !hasStart && !hasEnd {
		return 0, 0, nil
	}
	read := flexibleTime
	if strict {
		read = secondsTime
	}
	if start, err = read(v, "start"); err != nil {
		return 0, 0, err
	}
	if end, err = read(v, "end"); err != nil {
		return 0, 0, err
	}
	switch {
	case hasStart != hasEnd:
		return 0, 0, badRequest("error parsing date range: only one of start and end provided: must provide both or neither")
	case start >= end:
		return 0, 0, badRequest("http parameter start must be before end. received start=%s end=%s", v.Get("start"), v.Get("end"))
	}
	return start, end, nil
}

func secondsTime(v url.Values, name string) (uint64, error) {
	n, err := uintParam(v, name)
	return uint64(n) * 1e9, err
}

// flexibleTime parses seconds (up to ten digits), nanoseconds, fractional seconds or RFC 3339.
func flexibleTime(v url.Values, name string) (uint64, error) {
	s := v.Get(name)
	if s == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(s, 10, 63); err == nil {
		if len(s) <= 10 {
			return n * 1e9, nil
		}
		return n, nil
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && f >= 0 && f < math.MaxInt64/1e9 {
		return uint64(math.Round(f*1e3)) * 1e6, nil
	}
	switch t, err := time.Parse(time.RFC3339Nano, s); {
	case err != nil:
		return 0, badRequest("invalid %s: %q is neither unix time nor RFC 3339", name, s)
	case t.Unix() < 0:
		return 0, badRequest("invalid %s: %s is before 1970", name, s)
	case t.Unix() >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64, nil // no span is later
	default:
		return uint64(t.UnixNano()), nil
	}
}

// others returns the parameters whose names are not known, sorted.
func others(v url.Values, known ...string) []string {
	var names []string
	for name := range v {
		if !slices.Contains(known, name) && strings.TrimSpace(name) != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

const (
	typeJSON     = "application/json"
	typeProtobuf = "application/protobuf"
)

// wantsProtobuf decides by the Accept header as Tempo does: it ignores q-values, takes the first of protobuf
// and JSON, and defaults to JSON.
func wantsProtobuf(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), typeProtobuf)
}
