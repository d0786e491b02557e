package jaeger

import (
	"math"
	"strconv"
	"strings"

	"etude/receive/spans"
)

func kindOf(tags []tag) uint64 {
	switch stringOf(tags, "span.kind") {
	case "internal":
		return spans.KindInternal
	case "server":
		return spans.KindServer
	case "client":
		return spans.KindClient
	case "producer":
		return spans.KindProducer
	case "consumer":
		return spans.KindConsumer
	}
	return 0
}

// status is a status and the tags it was made from.
type status struct {
	code    uint64
	message string
	used    [3]*tag
}

func (s *status) consumes(t *tag) bool {
	return t == s.used[0] || t == s.used[1] || t == s.used[2]
}

// statusOf uses the first that exists of error=true, otel.status_code and http.status_code.
func statusOf(tags []tag, kind uint64) (s status) {
	failed := findTag(tags, "error")
	if failed != nil && (failed.typ != tagBool || failed.bits == 0) {
		failed = nil // only the boolean true means that the span failed
	}
	code := findTag(tags, "otel.status_code")
	s.used[0], s.used[1] = failed, code
	switch {
	case failed != nil:
		s.code = spans.StatusError
		s.describe(tags)
		if s.used[2] == nil {
			s.message = textOf(tags, "http.status_message")
		}
	case code != nil:
		switch strings.ToUpper(code.text) {
		case "OK":
			s.code = spans.StatusOK
		case "ERROR":
			s.code = spans.StatusError
		}
		s.describe(tags)
	default:
		if s.code = httpStatusOf(tags, kind); s.code != spans.StatusUnset {
			s.message = textOf(tags, "http.status_message")
		}
	}
	return s
}

func (s *status) describe(tags []tag) {
	if t := findTag(tags, "otel.status_description"); t != nil {
		s.message, s.used[2] = t.asText(), t
	}
}

// httpStatusOf returns the status for an HTTP status code. A 4xx is the client's failure, not the server's. 399
// counts as a failure, as in Tempo.
func httpStatusOf(tags []tag, kind uint64) uint64 {
	t := findTag(tags, "http.status_code")
	if t == nil {
		return spans.StatusUnset
	}
	var code int64
	switch t.typ {
	case tagLong:
		code = int64(t.bits)
	case tagString:
		var err error
		if code, err = strconv.ParseInt(t.text, 10, 64); err != nil {
			return spans.StatusUnset
		}
	}
	if code < 399 || kind == spans.KindServer && code >= 400 && code < 500 {
		return spans.StatusUnset
	}
	return spans.StatusError
}

func textOf(tags []tag, key string) string {
	if t := findTag(tags, key); t != nil {
		return t.asText()
	}
	return ""
}

// stringOf returns the value of a tag that is a string, or "".
func stringOf(tags []tag, key string) string {
	if t := findTag(tags, key); t != nil && t.typ == tagString {
		return t.text
	}
	return ""
}

// asText formats a tag's value as text.
func (t *tag) asText() string {
	switch t.typ {
	case tagString:
		return t.text
	case tagDouble:
		return strconv.FormatFloat(math.Float64frombits(t.bits), 'g', -1, 64)
	case tagBool:
		return strconv.FormatBool(t.bits != 0)
	case tagLong:
		return strconv.FormatInt(int64(t.bits), 10)
	}
	return ""
}

func findTag(tags []tag, key string) *tag {
	for i := range tags {
		if tags[i].key == key {
			return &tags[i]
		}
	}
	return nil
}

// uniqueTags keeps the last tag of each key, in place, because Jaeger allows a key twice and OTLP does not. It
// compares few tags with each other, and uses a map for many, so that hostile input does not take quadratic
// time.
func uniqueTags(tags []tag) []tag {
	if len(tags) > 32 {
		return uniqueManyTags(tags)
	}
	kept := tags[:0]
	for i := range tags {
		if findTag(tags[i+1:], tags[i].key) == nil {
			kept = append(kept, tags[i])
		}
	}
	return kept
}

func uniqueManyTags(tags []tag) []tag {
	last := make(map[string]int, len(tags))
	for i := range tags {
		last[tags[i].key] = i
	}
	kept := tags[:0]
	for i := range tags {
		if last[tags[i].key] == i {
			kept = append(kept, tags[i])
		}
	}
	return kept
}
