package receive

import (
	"encoding/json"
	"strconv"

	"etude/internal/wire"
)

// The answers to an accepted request. In HTTP, partial_success is always present, and empty when everything was
// stored. A client must not resend rejected items (OTLP specification, "Partial Success").
var (
	emptyJSON     = []byte(`{"partialSuccess":{}}`)
	emptyProtobuf = []byte{0x0a, 0x00}
)

// proto returns the answer as protobuf: {partial_success 1: {rejected 1, error_message 2}}, with the same
// numbers for each signal. It is empty when everything was stored.
func (p partial) proto() []byte {
	if p.count == 0 && p.reason == "" {
		return nil
	}
	var b wire.Builder
	m := b.Open(1)
	b.Varint(1, uint64(p.count))
	b.String(2, p.reason)
	b.Close(m)
	return b.B
}

// json returns the answer as JSON. rejected is the name of the member with the count.
func (p partial) json(rejected string) []byte {
	if p.count == 0 && p.reason == "" {
		return emptyJSON
	}
	// 64-bit integers are strings in proto3 JSON.
	b, err := json.Marshal(map[string]map[string]string{"partialSuccess": {rejected: strconv.Itoa(p.count), "errorMessage": p.reason}})
	if err != nil { // strings always marshal
		return emptyJSON
	}
	return b
}

// answer returns the body of an HTTP answer.
func (p partial) answer(sig *signal, media string) []byte {
	if media == typeJSON {
		return p.json(sig.rejected)
	}
	if b := p.proto(); b != nil {
		return b
	}
	return emptyProtobuf
}
