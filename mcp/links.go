package mcp

import (
	"net/url"
	"strconv"
)

// links makes addresses of the page below a base; without a base it makes none.
type links struct{ base string }

// explore returns the page's view of a query. Without a range, the page shows its default, the last hour.
func (l links) explore(query string, w window) string {
	params := url.Values{"tab": {"traceql"}}
	if query != "" {
		params.Set("q", query)
	}
	if w.given {
		params.Set("from", strconv.FormatInt(w.start.UnixMilli(), 10))
		params.Set("to", strconv.FormatInt(w.end.UnixMilli(), 10))
	}
	return l.to("/explore?" + params.Encode())
}

// compare returns the page's view of a comparison.
func (l links) compare(before, after string, w window) string {
	params := url.Values{"before": {before}, "after": {after}}
	if w.given {
		params.Set("from", strconv.FormatInt(w.start.UnixMilli(), 10))
		params.Set("to", strconv.FormatInt(w.end.UnixMilli(), 10))
	}
	return l.to("/compare?" + params.Encode())
}

func (l links) trace(id string) string { return l.to("/trace/" + url.PathEscape(id)) }

func (l links) to(path string) string {
	if l.base == "" {
		return ""
	}
	return l.base + path
}
