package mcp

import (
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// window is the time range of a request. given reports whether the caller set any of its ends.
type window struct {
	start, end time.Time
	given      bool
}

// newWindow parses RFC 3339 times. The default end is now; the default start is one hour before the end.
func newWindow(start, end string, now time.Time) (w window, err error) {
	w = window{end: now, given: start != "" || end != ""}
	if end != "" {
		if w.end, err = parseTime("end", end); err != nil {
			return w, err
		}
	}
	w.start = w.end.Add(-time.Hour)
	if start != "" {
		if w.start, err = parseTime("start", start); err != nil {
			return w, err
		}
	}
	if !w.start.Before(w.end) {
		return w, fmt.Errorf("start must be before end: start is %s, end is %s",
			w.start.Format(time.RFC3339), w.end.Format(time.RFC3339))
	}
	return w, nil
}

func parseTime(name, text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Unix() < 0 {
		return t, fmt.Errorf("invalid %s: %q is not a time in RFC 3339 since 1970, such as 2026-01-31T15:04:05Z", name, text)
	}
	return t, nil
}

// seconds returns the parameters of a search: whole seconds, widened outwards.
func (w window) seconds() url.Values {
	end := w.end.Unix()
	if w.end.Nanosecond() > 0 {
		end++
	}
	return url.Values{"start": {strconv.FormatInt(w.start.Unix(), 10)}, "end": {strconv.FormatInt(end, 10)}}
}

// nanos returns the parameters of a metrics query.
func (w window) nanos() url.Values {
	return url.Values{"start": {nanos(w.start)}, "end": {nanos(w.end)}}
}

// nanos formats a time as RFC 3339, because the API takes short numbers for seconds.
func nanos(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
