package api_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// normalise brings an answer into the form of the case files.
func normalise(kind string, body []byte, base int64) (any, error) {
	switch kind {
	case "status":
		return map[string]any{}, nil
	case "trace-proto-v1", "trace-proto-v2":
		return normaliseProto(kind, body, base)
	}
	var answer map[string]any
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("decode answer: %w", err)
	}
	switch kind {
	case "search", "search-full":
		return normaliseSearch(answer, base, kind == "search-full"), nil
	case "search-count":
		return map[string]any{"traces": len(list(answer["traces"]))}, nil
	case "search-spss":
		return normaliseCounts(answer), nil
	case "trace-json":
		return normaliseTrace(answer, base), nil
	case "tags1":
		return map[string]any{"set": setOf(list(answer["tagNames"]))}, nil
	case "values1":
		return map[string]any{"set": setOf(list(answer["tagValues"]))}, nil
	case "tags2":
		scopes := map[string]any{}
		for _, s := range objects(answer["scopes"]) {
			scopes[text(s["name"])] = setOf(list(s["tags"]))
		}
		return map[string]any{"scopes": scopes}, nil
	case "values2":
		set := map[string]any{}
		for _, v := range objects(answer["tagValues"]) {
			set[text(v["type"])+":"+text(v["value"])] = true
		}
		return map[string]any{"set": set}, nil
	case "range", "instant", "range-compare", "instant-compare", "range-top", "instant-top":
		return normaliseMetrics(answer, base), nil
	}
	return nil, fmt.Errorf("no normal form of %s", kind)
}

func list(v any) []any { l, _ := v.([]any); return l }

func objects(v any) (out []map[string]any) {
	for _, e := range list(v) {
		if o, ok := e.(map[string]any); ok {
			out = append(out, o)
		}
	}
	return out
}

func text(v any) string { s, _ := v.(string); return s }

func object(v any) map[string]any { o, _ := v.(map[string]any); return o }

func setOf(names []any) map[string]any {
	set := map[string]any{}
	for _, n := range names {
		set[text(n)] = true
	}
	return set
}

func relative(v any, base int64) int64 {
	n, _ := strconv.ParseInt(text(v), 10, 64)
	return n - base*1e9
}

func normaliseSearch(answer map[string]any, base int64, full bool) any {
	traces := map[string]any{}
	for _, t := range objects(answer["traces"]) {
		out := map[string]any{
			"rootService": text(t["rootServiceName"]),
			"rootName":    text(t["rootTraceName"]),
			"start":       relative(t["startTimeUnixNano"], base),
			"durationMs":  number(t["durationMs"]),
			"stats":       statsOf(object(t["serviceStats"])),
		}
		var sets []any // null without, as in the recorded form
		for _, s := range objects(t["spanSets"]) {
			sets = append(sets, spanSetOf(s, base, full))
		}
		slices.SortFunc(sets, byText)
		out["spanSets"] = sets
		addUnique(traces, text(t["traceID"]), out)
	}
	return map[string]any{"traces": traces}
}

func number(v any) any {
	if v == nil {
		return 0
	}
	return v
}

func statsOf(stats map[string]any) map[string]any {
	out := map[string]any{}
	for service, s := range stats {
		out[service] = fmt.Sprintf("%v/%v", number(object(s)["spanCount"]), number(object(s)["errorCount"]))
	}
	return out
}

func spanSetOf(s map[string]any, base int64, full bool) any {
	out := map[string]any{"matched": number(s["matched"])}
	if attrs := attributeList(s["attributes"]); len(attrs) > 0 {
		out["attrs"] = attrs
	}
	if !full {
		ids := []string{}
		for _, span := range objects(s["spans"]) {
			ids = append(ids, text(span["spanID"]))
		}
		slices.Sort(ids)
		out["spans"] = ids
		return out
	}
	spans := map[string]any{}
	for _, span := range objects(s["spans"]) {
		dur, _ := strconv.ParseInt(text(span["durationNanos"]), 10, 64)
		one := map[string]any{"start": relative(span["startTimeUnixNano"], base), "dur": dur}
		if name := text(span["name"]); name != "" {
			one["name"] = name
		}
		if attrs := attributeList(span["attributes"]); len(attrs) > 0 {
			one["attrs"] = attrs
		}
		addUnique(spans, text(span["spanID"]), one)
	}
	out["spans"] = spans
	return out
}

// addUnique gives a repeated key the suffix #2, #3, ...
func addUnique(m map[string]any, key string, v any) {
	name := key
	for n := 2; m[name] != nil; n++ {
		name = fmt.Sprintf("%s#%d", key, n)
	}
	m[name] = v
}

func byText(a, b any) int {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return strings.Compare(string(x), string(y))
}

func normaliseCounts(answer map[string]any) any {
	traces := map[string]any{}
	for _, t := range objects(answer["traces"]) {
		var counts []string
		for _, s := range objects(t["spanSets"]) {
			counts = append(counts, fmt.Sprintf("%d/%v", len(list(s["spans"])), number(s["matched"])))
		}
		slices.Sort(counts)
		addUnique(traces, text(t["traceID"]), strings.Join(counts, " "))
	}
	return map[string]any{"traces": traces}
}

// attributeList returns the sorted "key=value" texts.
func attributeList(v any) []string {
	out := []string{}
	for _, kv := range objects(v) {
		out = append(out, text(kv["key"])+"="+valueText(object(kv["value"])))
	}
	slices.Sort(out)
	return out
}

func valueText(v map[string]any) string {
	for kind, x := range v {
		switch kind {
		case "stringValue":
			b, _ := json.Marshal(x)
			return string(b)
		case "intValue":
			return fmt.Sprint(x)
		case "boolValue":
			return fmt.Sprint(x)
		case "doubleValue":
			if f, ok := x.(float64); ok {
				return "double:" + strconv.FormatFloat(f, 'g', -1, 64)
			}
			return "double:" + fmt.Sprint(x)
		case "arrayValue":
			var parts []string
			for _, e := range objects(object(x)["values"]) {
				parts = append(parts, valueText(e))
			}
			return "[" + strings.Join(parts, ",") + "]"
		case "kvlistValue":
			var parts []string
			for _, e := range objects(object(x)["values"]) {
				parts = append(parts, text(e["key"])+":"+valueText(object(e["value"])))
			}
			slices.Sort(parts)
			return "{" + strings.Join(parts, ",") + "}"
		}
	}
	b, _ := json.Marshal(v)
	return string(b)
}

func normaliseTrace(answer map[string]any, base int64) any {
	shape, resourceSpans := "batches", answer["batches"]
	if _, ok := answer["trace"]; ok {
		inner := object(answer["trace"])
		shape, resourceSpans = "trace.", inner["resourceSpans"]
		if resourceSpans != nil {
			shape = "trace.resourceSpans"
		}
	}
	return map[string]any{"shape": shape, "spans": spansOf(resourceSpans, base)}
}

func spansOf(resourceSpans any, base int64) map[string]any {
	spans := map[string]any{}
	for _, rs := range objects(resourceSpans) {
		resource := attributeList(object(rs["resource"])["attributes"])
		for _, ss := range objects(rs["scopeSpans"]) {
			scope := normalScope(object(ss["scope"]))
			for _, span := range objects(ss["spans"]) {
				id := text(span["spanId"])
				one := object(normalMember("", span, base))
				if len(resource) > 0 {
					one["resource"] = resource
				}
				if len(scope) > 0 {
					one["scope"] = scope
				}
				addUnique(spans, id, one)
			}
		}
	}
	return spans
}

func normalScope(s map[string]any) map[string]any {
	out := map[string]any{}
	for _, key := range []string{"name", "version"} {
		if text(s[key]) != "" {
			out[key] = s[key]
		}
	}
	if attrs := attributeList(s["attributes"]); len(attrs) > 0 {
		out["attrs"] = attrs
	}
	return out
}

// normalMember drops default values and makes times relative, recursively.
func normalMember(name string, v any, base int64) any {
	if strings.HasSuffix(name, "imeUnixNano") {
		return relative(v, base)
	}
	if name == "attributes" {
		return attributeList(v)
	}
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, member := range v {
			if m := normalMember(key, member, base); !isDefault(m) {
				out[key] = m
			}
		}
		return out
	case []any:
		out := []any{}
		for _, e := range v {
			out = append(out, normalMember("", e, base))
		}
		slices.SortFunc(out, byText)
		return out
	}
	return v
}

func isDefault(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case float64:
		return v == 0
	case []any:
		return len(v) == 0
	case []string:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// normaliseProto decodes TracesData, or the message around it, with upstream's
// own types and sends it through the JSON form.
func normaliseProto(kind string, body []byte, base int64) (any, error) {
	if kind == "trace-proto-v2" {
		inner, err := firstField(body)
		if err != nil {
			return nil, err
		}
		body = inner
	}
	var traces tracepb.TracesData
	if err := proto.Unmarshal(body, &traces); err != nil {
		return nil, err
	}
	asJSON, err := protojson.Marshal(&traces)
	if err != nil {
		return nil, err
	}
	var answer map[string]any
	if err := json.Unmarshal(asJSON, &answer); err != nil {
		return nil, err
	}
	hexIDs(answer)
	return map[string]any{"spans": spansOf(answer["resourceSpans"], base)}, nil
}

func firstField(body []byte) (content []byte, err error) {
	for len(body) > 0 {
		num, typ, n := protowire.ConsumeTag(body)
		if n < 0 || typ != protowire.BytesType {
			return nil, fmt.Errorf("answer is no message of messages: % x", body)
		}
		v, m := protowire.ConsumeBytes(body[n:])
		if m < 0 {
			return nil, fmt.Errorf("answer is cut off: % x", body)
		}
		if num == 1 {
			content = v
		}
		body = body[n+m:]
	}
	return content, nil
}

// hexIDs turns base64 ids into hex everywhere in the tree.
func hexIDs(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			switch key {
			case "traceId", "spanId", "parentSpanId":
				raw, _ := base64.StdEncoding.DecodeString(text(member))
				v[key] = hex.EncodeToString(raw)
			default:
				hexIDs(member)
			}
		}
	case []any:
		for _, e := range v {
			hexIDs(e)
		}
	}
}
