package api_test

import (
	"encoding/json"
	"strconv"
	"strings"
)

// normaliseMetrics returns {"series": {"{labels}": value or {ms: value}}}.
func normaliseMetrics(answer map[string]any, base int64) any {
	series := map[string]any{}
	for _, s := range objects(answer["series"]) {
		name := "{" + strings.Join(attributeList(s["labels"]), ", ") + "}"
		samples, ok := s["samples"].([]any)
		if !ok {
			series[name] = valueOrZero(s["value"])
			continue
		}
		values := map[string]any{}
		for _, x := range objects(samples) {
			ms, _ := strconv.ParseInt(text(x["timestampMs"]), 10, 64)
			values[strconv.FormatInt(ms-base*1000, 10)] = valueOrZero(x["value"])
		}
		series[name] = values
	}
	return map[string]any{"series": series}
}

func valueOrZero(v any) any {
	if v == nil {
		return 0.0
	}
	return v
}

// forCompare drops from an answer to compare() what the case files leave out,
// and for a small top-N counts the series of each attribute.
func forCompare(got any, want map[string]any, top bool) any {
	series := object(object(got)["series"])
	wanted := object(want["series"])
	known := map[string]bool{} // attributes, for top with the meta type
	for name := range wanted {
		meta, attr, _ := metaAndAttribute(name)
		if top {
			attr = meta + attr
		}
		known[attr] = true
	}
	out := map[string]any{}
	counts := map[string]int{}
	for name, samples := range series {
		meta, attr, value := metaAndAttribute(name)
		total := strings.HasSuffix(meta, `_total"`)
		key := attr
		if top {
			key = meta + attr
		}
		_, inWant := wanted[name]
		if !known[key] || total && !top && !inWant || !total && value == `"nil"` {
			continue
		}
		out[name] = samples
		counts["{__meta_type="+meta+", "+attr+"}"]++
	}
	if top {
		return map[string]any{"series": toJSON(counts)}
	}
	return map[string]any{"series": out}
}

// metaAndAttribute parts {__meta_type="baseline", kind="server"}; the value is
// empty in the names of a top-N.
func metaAndAttribute(name string) (meta, attr, value string) {
	rest := strings.TrimSuffix(strings.TrimPrefix(name, "{"), "}")
	const prefix = "__meta_type="
	d := json.NewDecoder(strings.NewReader(strings.TrimPrefix(rest, prefix)))
	var m string
	if strings.HasPrefix(rest, prefix) && d.Decode(&m) == nil {
		meta = strconv.Quote(m)
		rest = strings.TrimPrefix(rest[len(prefix)+int(d.InputOffset()):], ", ")
	}
	if i := strings.Index(rest, "="); i >= 0 {
		return meta, rest[:i], rest[i+1:]
	}
	return meta, rest, ""
}
