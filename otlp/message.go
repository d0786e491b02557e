package otlp

import (
	"google.golang.org/protobuf/encoding/protowire"

	"etude/internal/wire"
)

// form is how the content of a field is read.
type form uint8

const (
	formVarint   form = iota + 1 // uint32
	formInt64                    // varint, int64
	formBool                     // varint
	formEnum                     // varint
	formFixed64                  // uint64
	formDouble                   // fixed64
	formSFixed64                 // fixed64, int64
	formUint64                   // varint
	formSInt32                   // varint, zigzag
	formFixed32                  // uint32
	formString                   // UTF-8
	formBytes                    // any
	formTraceID                  // 16 bytes, not zero
	formSpanID                   // 8 bytes, not zero
	formAnyID                    // a trace or span id that may be empty
	formMessage
)

// Wire types of the protobuf encoding.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireGroup   = 3
	wireEnd     = 4
	wireFixed32 = 5
)

func (f form) wire() protowire.Type {
	switch f {
	case formVarint, formInt64, formBool, formEnum, formUint64, formSInt32:
		return wireVarint
	case formFixed64, formDouble, formSFixed64:
		return wireFixed64
	case formFixed32:
		return wireFixed32
	}
	return wireBytes
}

// field describes one field of a message.
type field struct {
	json     string // lowerCamelCase name
	proto    string // snake_case name
	form     form
	repeated bool
	message  *message // for formMessage
	enum     []string // for formEnum: name by number
	size     int      // for formAnyID: the length when not empty
}

// message describes a message type. Fields are indexed by number; those past
// the end, or without a form, are unknown and ignored.
type message struct {
	name     string
	fields   []field
	required uint32 // bit n: field n must be there
	attrs    byte   // tag of the attributes; 0: there are none
	oneof    bool   // only the last field given counts
}

var (
	anyValue     = &message{name: "AnyValue", oneof: true}
	keyValue     = &message{name: "KeyValue", fields: []field{1: str("key"), 2: one("value", anyValue)}}
	arrayValue   = &message{name: "ArrayValue", fields: []field{1: many("values", anyValue)}}
	keyValueList = &message{name: "KeyValueList", fields: []field{1: many("values", keyValue)}}

	resource = &message{name: "Resource", attrs: 1<<3 | wireBytes, fields: []field{
		1: many("attributes", keyValue), 2: num("dropped_attributes_count", formVarint),
		3: many("entity_refs", entityRef)}}
	entityRef = &message{name: "EntityRef", fields: []field{
		1: str("schema_url"), 2: str("type"), 3: strs("id_keys"), 4: strs("description_keys")}}
	scope = &message{name: "InstrumentationScope", attrs: 3<<3 | wireBytes, fields: []field{
		1: str("name"), 2: str("version"), 3: many("attributes", keyValue), 4: num("dropped_attributes_count", formVarint)}}

	event = &message{name: "Event", attrs: 3<<3 | wireBytes, fields: []field{
		1: num("time_unix_nano", formFixed64), 2: str("name"), 3: many("attributes", keyValue),
		4: num("dropped_attributes_count", formVarint)}}
	link = &message{name: "Link", attrs: 4<<3 | wireBytes, fields: []field{
		1: id("trace_id", formAnyID, 16), 2: id("span_id", formAnyID, 8), 3: str("trace_state"),
		4: many("attributes", keyValue), 5: num("dropped_attributes_count", formVarint), 6: num("flags", formFixed32)}}
	status = &message{name: "Status", fields: []field{
		2: str("message"), 3: enum("code", "STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR")}}

	span = &message{name: "Span", required: 1<<1 | 1<<2, attrs: tagSpanAttribute, fields: []field{
		1: id("trace_id", formTraceID, 16), 2: id("span_id", formSpanID, 8), 3: str("trace_state"),
		4: id("parent_span_id", formAnyID, 8), 5: str("name"),
		6: enum("kind", "SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER"),
		7: num("start_time_unix_nano", formFixed64), 8: num("end_time_unix_nano", formFixed64),
		9: many("attributes", keyValue), 10: num("dropped_attributes_count", formVarint),
		11: many("events", event), 12: num("dropped_events_count", formVarint),
		13: many("links", link), 14: num("dropped_links_count", formVarint),
		15: one("status", status), 16: num("flags", formFixed32)}}

	scopeSpans = &message{name: "ScopeSpans", fields: []field{
		1: one("scope", scope), 2: many("spans", span), 3: str("schema_url")}}
	resourceSpans = &message{name: "ResourceSpans", fields: []field{
		1: one("resource", resource), 2: many("scope_spans", scopeSpans), 3: str("schema_url")}}
	tracesData = &message{name: "TracesData", fields: []field{1: many("resource_spans", resourceSpans)}}
)

func init() {
	// AnyValue contains itself.
	anyValue.fields = []field{
		1: str("string_value"), 2: num("bool_value", formBool), 3: num("int_value", formInt64),
		4: num("double_value", formDouble), 5: one("array_value", arrayValue), 6: one("kvlist_value", keyValueList),
		7: num("bytes_value", formBytes)}
}

func num(name string, f form) field { return field{json: camel(name), proto: name, form: f} }

func str(name string) field { return num(name, formString) }

func strs(name string) field {
	f := str(name)
	f.repeated = true
	return f
}

func one(name string, m *message) field {
	return field{json: camel(name), proto: name, form: formMessage, message: m}
}

func many(name string, m *message) field {
	f := one(name, m)
	f.repeated = true
	return f
}

func id(name string, form form, size int) field {
	f := num(name, form)
	f.size = size
	return f
}

func enum(name string, values ...string) field {
	f := num(name, formEnum)
	f.enum = values
	return f
}

func camel(name string) string {
	out := make([]byte, 0, len(name))
	for i := 0; i < len(name); i++ {
		if name[i] == '_' && i+1 < len(name) {
			i++
			out = append(out, name[i]-'a'+'A')
			continue
		}
		out = append(out, name[i])
	}
	return string(out)
}

// field returns the description of a field by number and wire type, or nil when
// it is unknown. A known number with another wire type is unknown too, as in
// every protobuf implementation.
func (m *message) field(number wire.Number, typ protowire.Type) *field {
	if uint(number) >= uint(len(m.fields)) {
		return nil
	}
	f := &m.fields[number]
	if f.form == 0 || f.form.wire() != typ {
		return nil
	}
	return f
}
