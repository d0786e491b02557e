package receive

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of opentelemetry-proto, as far as the translations write them.
const (
	fieldResourceSpans      protowire.Number = 1 // TracesData
	fieldScopeSpans         protowire.Number = 2 // ResourceSpans
	fieldSpans              protowire.Number = 2 // ScopeSpans
	fieldResource           protowire.Number = 1 // ResourceSpans
	fieldResourceAttributes protowire.Number = 1 // Resource
	fieldScope              protowire.Number = 1 // ScopeSpans
	scopeName               protowire.Number = 1
	scopeVersion            protowire.Number = 2

	spanTraceID    protowire.Number = 1
	spanSpanID     protowire.Number = 2
	spanTraceState protowire.Number = 3
	spanParentID   protowire.Number = 4
	spanName       protowire.Number = 5
	spanKind       protowire.Number = 6
	spanStart      protowire.Number = 7
	spanEnd        protowire.Number = 8
	spanAttributes protowire.Number = 9
	spanEvents     protowire.Number = 11
	spanLinks      protowire.Number = 13
	spanStatus     protowire.Number = 15

	eventTime       protowire.Number = 1
	eventName       protowire.Number = 2
	eventAttributes protowire.Number = 3

	linkTraceID    protowire.Number = 1
	linkSpanID     protowire.Number = 2
	linkAttributes protowire.Number = 4

	statusMessage protowire.Number = 2
	statusCode    protowire.Number = 3

	keyName  protowire.Number = 1 // KeyValue
	keyValue protowire.Number = 2

	valueString protowire.Number = 1 // AnyValue
	valueBool   protowire.Number = 2
	valueInt    protowire.Number = 3
	valueDouble protowire.Number = 4
	valueBytes  protowire.Number = 7
)

// Span kinds and status codes (trace/v1).
const (
	kindInternal = 1
	kindServer   = 2
	kindClient   = 3
	kindProducer = 4
	kindConsumer = 5

	statusUnset = 0
	statusOK    = 1
	statusError = 2
)

// An AnyValue is a oneof: a zero in it is written, for it says the type.

func (p *protoBuilder) attrString(field protowire.Number, key, v string) {
	kv, value := p.openAttr(field, key)
	p.b = protowire.AppendTag(p.b, valueString, protowire.BytesType)
	p.b = protowire.AppendString(p.b, validText(v))
	p.closeAttr(kv, value)
}

func (p *protoBuilder) attrBool(field protowire.Number, key string, v bool) {
	kv, value := p.openAttr(field, key)
	p.b = protowire.AppendTag(p.b, valueBool, protowire.VarintType)
	p.b = protowire.AppendVarint(p.b, protowire.EncodeBool(v))
	p.closeAttr(kv, value)
}

func (p *protoBuilder) attrInt(field protowire.Number, key string, v int64) {
	kv, value := p.openAttr(field, key)
	p.b = protowire.AppendTag(p.b, valueInt, protowire.VarintType)
	p.b = protowire.AppendVarint(p.b, uint64(v))
	p.closeAttr(kv, value)
}

func (p *protoBuilder) attrDouble(field protowire.Number, key string, v float64) {
	kv, value := p.openAttr(field, key)
	p.b = protowire.AppendTag(p.b, valueDouble, protowire.Fixed64Type)
	p.b = protowire.AppendFixed64(p.b, math.Float64bits(v))
	p.closeAttr(kv, value)
}

func (p *protoBuilder) attrBytes(field protowire.Number, key, v string) {
	kv, value := p.openAttr(field, key)
	p.b = protowire.AppendTag(p.b, valueBytes, protowire.BytesType)
	p.b = protowire.AppendString(p.b, v)
	p.closeAttr(kv, value)
}

func (p *protoBuilder) openAttr(field protowire.Number, key string) (kv, value mark) {
	kv = p.open(field)
	p.string(keyName, key)
	return kv, p.open(keyValue)
}

func (p *protoBuilder) closeAttr(kv, value mark) {
	p.close(value)
	p.close(kv)
}

// status writes a Status unless it says nothing.
func (p *protoBuilder) status(code uint64, message string) {
	if code == statusUnset && message == "" {
		return
	}
	st := p.open(spanStatus)
	p.string(statusMessage, message)
	p.varint(statusCode, code)
	p.close(st)
}
