package receive

import (
	"encoding/json"
	"strconv"
)

// The answers to a request of which some spans were left out, maybe all of them:
// an ExportTraceServiceResponse with partial_success (OTLP specification, "Partial
// Success"). The client must not send such a request again.

// partialProto: {partial_success 1: {rejected_spans 1, error_message 2}}. It is
// empty when nothing was left out.
func partialProto(r Rejected) []byte {
	if r.Spans == 0 {
		return nil
	}
	var p protoBuilder
	partial := p.open(1)
	p.varint(1, uint64(r.Spans))
	p.string(2, r.Reason)
	p.close(partial)
	return p.b
}

func partialJSON(r Rejected) []byte {
	type partial struct {
		RejectedSpans string `json:"rejectedSpans"` // 64-bit integers are strings in proto3 JSON
		ErrorMessage  string `json:"errorMessage"`
	}
	b, err := json.Marshal(map[string]partial{"partialSuccess": {strconv.Itoa(r.Spans), r.Reason}})
	if err != nil { // strings always marshal
		return takenJSON
	}
	return b
}
