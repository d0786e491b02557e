package syntax

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// number scans an integer, a float or a duration. A duration is a number with units directly after it. Letters
// after a number that form no duration are left for checkNumberEnd, which rejects them.
func (s *scanner) number(pos Pos) token {
	text := numberText(s.remaining())
	run := durationRun(s.remaining()[len(text):])
	if run != "" {
		if d, ok := parseDuration(text + run); ok {
			s.advance(len(text) + len(run))
			return token{kind: kDur, text: text + run, num: d, pos: pos}
		}
	}
	s.advance(len(text))
	t := token{text: text, pos: pos}
	if strings.ContainsAny(text, ".eE") {
		t.kind, t.float = kFloat, parseFloat(pos, text)
	} else {
		t.kind, t.num = kInt, parseInt(pos, text)
	}
	s.checkNumberEnd(t)
	return t
}

// checkNumberEnd rejects letters directly after a number, and suggests the units.
func (s *scanner) checkNumberEnd(t token) {
	if word := leadingWord(s.remaining()); word != "" {
		fail(t.pos, "units are ns us ms s m h, and whole d w y", "%q is neither a number nor a duration", t.text+word)
	}
}

func numberText(src string) string {
	n := digits(src, 0)
	if n < len(src) && src[n] == '.' {
		n = digits(src, n+1)
	}
	if n < len(src) && (src[n] == 'e' || src[n] == 'E') {
		e := n + 1
		if e < len(src) && (src[e] == '+' || src[e] == '-') {
			e++
		}
		if end := digits(src, e); end > e {
			n = end
		}
	}
	return src[:n]
}

func digits(src string, from int) int {
	for from < len(src) && isDigit(src[from]) {
		from++
	}
	return from
}

func parseInt(pos Pos, text string) int64 {
	if len(text) > 1 && text[0] == '0' && strings.ContainsAny(text, "89") {
		fail(pos, "leave out the leading zero", "invalid number %s", text)
	}
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		fail(pos, "integers have 64 bits", "number %s is out of range", text)
	}
	return v
}

func parseFloat(pos Pos, text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		fail(pos, "", "number %s is out of range", text)
	}
	return v
}

func durationRun(src string) string {
	for i, r := range src {
		if !strings.ContainsRune("0123456789.nsumhµdwy", r) {
			return src[:i]
		}
	}
	return src
}

// parseDuration tries calendar notation first, then Go's own.
func parseDuration(text string) (ns int64, ok bool) {
	if ns, ok = calendarDuration(text); ok {
		return ns, true
	}
	d, err := time.ParseDuration(text)
	return int64(d), err == nil
}

var calendarUnits = []struct {
	name string
	ns   int64
}{
	{"y", 365 * 24 * int64(time.Hour)},
	{"w", 7 * 24 * int64(time.Hour)},
	{"d", 24 * int64(time.Hour)},
	{"h", int64(time.Hour)},
	{"m", int64(time.Minute)},
	{"s", int64(time.Second)},
	{"ms", int64(time.Millisecond)},
}

// calendarDuration parses whole numbers with units in decreasing order, each at most once.
func calendarDuration(text string) (ns int64, ok bool) {
	unit := 0
	for text != "" {
		n := digits(text, 0)
		count, err := strconv.ParseInt(text[:n], 10, 64)
		if err != nil {
			return 0, false
		}
		letters := text[n:]
		if end := strings.IndexAny(letters, "0123456789."); end >= 0 {
			letters = letters[:end]
		}
		for unit < len(calendarUnits) && calendarUnits[unit].name != letters {
			unit++
		}
		if unit == len(calendarUnits) {
			return 0, false
		}
		size := calendarUnits[unit].ns
		if count > (math.MaxInt64-ns)/size {
			return 0, false
		}
		ns += count * size
		unit++
		text = text[n+len(letters):]
	}
	return ns, true
}

// ParseDuration parses a duration in either notation of a query.
func ParseDuration(text string) (time.Duration, bool) {
	if text == "" || !isDigit(text[0]) && text[0] != '.' {
		return 0, false
	}
	ns, ok := parseDuration(text)
	return time.Duration(ns), ok
}
