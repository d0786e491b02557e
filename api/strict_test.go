package api_test

import (
	"net/url"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// messages are the answers as protobuf has them: "name: number field type, ...",
// a * for repeated. Types are those of descriptors or other messages here.
var messages = map[string]string{
	"SearchResponse":            "1 traces *TraceSearchMetadata, 2 metrics SearchMetrics",
	"SearchMetrics":             "1 inspectedTraces uint32, 2 inspectedBytes uint64, 3 totalBlocks uint32, 4 completedJobs uint32, 5 totalJobs uint32, 6 totalBlockBytes uint64, 7 inspectedSpans uint64",
	"TraceSearchMetadata":       "1 traceID string, 2 rootServiceName string, 3 rootTraceName string, 4 startTimeUnixNano uint64, 5 durationMs uint32, 6 spanSet SpanSet, 7 spanSets *SpanSet, 8 serviceStats *TraceSearchMetadata.ServiceStatsEntry",
	"ServiceStats":              "1 spanCount uint32, 2 errorCount uint32",
	"SpanSet":                   "1 spans *Span, 2 matched uint32, 3 attributes *KeyValue",
	"Span":                      "1 spanID string, 2 name string, 3 startTimeUnixNano uint64, 4 durationNanos uint64, 5 attributes *KeyValue",
	"KeyValue":                  "1 key string, 2 value AnyValue",
	"AnyValue":                  "1 stringValue string?, 2 boolValue bool?, 3 intValue int64?, 4 doubleValue double?, 5 arrayValue ArrayValue",
	"ArrayValue":                "1 values *AnyValue",
	"SearchTagsResponse":        "1 tagNames *string, 2 metrics MetadataMetrics",
	"SearchTagsV2Response":      "1 scopes *SearchTagsV2Scope, 2 metrics MetadataMetrics",
	"SearchTagsV2Scope":         "1 name string, 2 tags *string",
	"SearchTagValuesResponse":   "1 tagValues *string, 2 metrics MetadataMetrics",
	"SearchTagValuesV2Response": "1 tagValues *TagValue, 2 metrics MetadataMetrics",
	"TagValue":                  "1 type string, 2 value string",
	"QueryInstantResponse":      "1 series *InstantSeries, 2 metrics SearchMetrics, 3 status PartialStatus, 4 message string",
	"InstantSeries":             "1 labels *KeyValue, 2 value double",
	"QueryRangeResponse":        "1 series *TimeSeries, 2 metrics SearchMetrics, 3 status PartialStatus, 4 message string",
	"TimeSeries":                "1 labels *KeyValue, 2 samples *Sample, 4 exemplars *Exemplar",
	"Sample":                    "1 value double, 2 timestampMs int64",
	"Exemplar":                  "1 labels *KeyValue, 2 value double, 3 timestampMs int64",
	"MetadataMetrics":           "1 inspectedBytes uint64, 2 totalJobs uint32, 3 completedJobs uint32, 4 totalBlocks uint32, 5 totalBlockBytes uint64",
}

// schema builds descriptors from messages.
func schema(t *testing.T) protoreflect.FileDescriptor {
	file := &descriptorpb.FileDescriptorProto{Name: proto.String("answers.proto"), Package: proto.String("tempopb"), Syntax: proto.String("proto3")}
	for name, fields := range messages {
		m := &descriptorpb.DescriptorProto{Name: proto.String(name)}
		for i, f := range strings.Split(fields, ", ") {
			addField(m, strings.Fields(f), i)
		}
		if name == "TraceSearchMetadata" {
			entry := &descriptorpb.DescriptorProto{Name: proto.String("ServiceStatsEntry"), Options: &descriptorpb.MessageOptions{MapEntry: proto.Bool(true)}}
			addField(entry, []string{"1", "key", "string"}, 0)
			addField(entry, []string{"2", "value", "ServiceStats"}, 1)
			m.NestedType = append(m.NestedType, entry)
		}
		file.MessageType = append(file.MessageType, m)
	}
	file.EnumType = append(file.EnumType, &descriptorpb.EnumDescriptorProto{Name: proto.String("PartialStatus"), Value: []*descriptorpb.EnumValueDescriptorProto{
		{Name: proto.String("COMPLETE"), Number: proto.Int32(0)}, {Name: proto.String("PARTIAL"), Number: proto.Int32(1)},
	}})
	fd, err := protodesc.NewFile(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func addField(m *descriptorpb.DescriptorProto, f []string, at int) {
	field := &descriptorpb.FieldDescriptorProto{
		Name: proto.String(f[1]), JsonName: proto.String(f[1]), Number: proto.Int32(int32(f[0][0] - '0')),
		Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
	}
	name := f[2]
	if rest, ok := strings.CutPrefix(name, "*"); ok {
		name, field.Label = rest, descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	}
	if rest, ok := strings.CutSuffix(name, "?"); ok { // says that it is there, even when zero
		name, field.Proto3Optional = rest, proto.Bool(true)
		field.OneofIndex = proto.Int32(int32(at))
		m.OneofDecl = append(m.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: proto.String("_" + f[1])})
	}
	if number, ok := descriptorpb.FieldDescriptorProto_Type_value["TYPE_"+strings.ToUpper(name)]; ok {
		field.Type = descriptorpb.FieldDescriptorProto_Type(number).Enum()
	} else if name == "PartialStatus" {
		field.Type, field.TypeName = descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum(), proto.String(".tempopb."+name)
	} else {
		field.Type, field.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), proto.String(".tempopb."+name)
	}
	m.Field = append(m.Field, field)
}

// TestAnswersFitTheSchema reads the JSON answers as strictly as Grafana does, in
// which an unknown member is an error, and the protobuf answers by Tempo's field
// numbers. Both must say the same.
func TestAnswersFitTheSchema(t *testing.T) {
	t.Parallel()
	fd := schema(t)
	h := newServer(loadSet(t, "small", 1_700_000_040, 1))
	search := func(q string) string { return "/api/search?limit=100&spss=50&q=" + url.QueryEscape(q) }
	for target, message := range map[string]string{
		search(`{ }`): "SearchResponse",
		search(`{ status = error && name != "x" } | select(resource.host.ips, span.http.status_code, span.ratio, span.cache.hit)`): "SearchResponse",
		search(`{ } | by(span.ratio) | count() > 0 | avg(duration) > 1ns`):                                                         "SearchResponse",
		"/api/search?tags=service.name%3Dcart":                                                                                     "SearchResponse",
		"/api/search/tags":                                                                                                         "SearchTagsResponse",
		"/api/v2/search/tags":                                                                                                      "SearchTagsV2Response",
		"/api/search/tag/user.name/values":                                                                                         "SearchTagValuesResponse",
		"/api/v2/search/tag/span.ratio/values":                                                                                     "SearchTagValuesV2Response",
		"/api/v2/search/tag/statusMessage/values?limit=3":                                                                          "SearchTagValuesV2Response",
	} {
		asJSON, asProto := newMessage(fd, message), newMessage(fd, message)
		text := get(h, target)
		if err := protojson.Unmarshal(text.Body.Bytes(), asJSON); err != nil {
			t.Errorf("%s: %v in %.200s", target, err, text.Body)
		}
		wire := get(h, target, "Accept", "application/protobuf")
		if ct := wire.Header().Get("Content-Type"); ct != "application/protobuf" {
			t.Errorf("%s: content type %s", target, ct)
		}
		if err := proto.Unmarshal(wire.Body.Bytes(), asProto); err != nil {
			t.Errorf("%s: %v", target, err)
		}
		if !proto.Equal(asJSON, asProto) {
			t.Errorf("%s: JSON and protobuf differ:\n%v\n%v", target, asJSON, asProto)
		}
		if len(asProto.ProtoReflect().GetUnknown()) > 0 || wire.Body.Len() < 20 {
			t.Errorf("%s: protobuf has unknown fields or next to nothing: %d bytes", target, wire.Body.Len())
		}
	}
}

func newMessage(fd protoreflect.FileDescriptor, name string) *dynamicpb.Message {
	return dynamicpb.NewMessage(fd.Messages().ByName(protoreflect.Name(name)))
}
