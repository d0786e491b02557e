package receive

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"etude/internal/wire"
)

const retryInfoType = "type.googleapis.com/google.rpc.RetryInfo"

// writeStatus answers with a google.rpc.Status in the encoding of the request
// (OTLP specification, "OTLP/HTTP Response").
func writeStatus(w http.ResponseWriter, contentType, media string, r *refusal) {
	w.Header().Set("Content-Type", contentType)
	if r.retry > 0 {
		w.Header().Set("Retry-After", r.retrySeconds())
	}
	if r.reason == timedOut {
		w.Header().Set("Connection", "close")
	}
	w.WriteHeader(r.status())
	if media == typeJSON {
		_, _ = w.Write(statusJSON(r))
		return
	}
	_, _ = w.Write(statusProto(r))
}

func statusJSON(r *refusal) []byte {
	type retryInfo struct {
		Type  string `json:"@type"`
		Delay string `json:"retryDelay"`
	}
	s := struct {
		Code    int         `json:"code"`
		Message string      `json:"message"`
		Details []retryInfo `json:"details,omitempty"`
	}{Code: int(r.code()), Message: r.text}
	if r.retry > 0 {
		delay := strconv.FormatFloat(r.retry.Seconds(), 'f', -1, 64) + "s"
		s.Details = []retryInfo{{retryInfoType, delay}}
	}
	b, err := json.Marshal(s)
	if err != nil {
		return []byte(`{"code":13}`) // unreachable: strings and ints always marshal
	}
	return b
}

// statusProto encodes google.rpc.Status {code 1, message 2, details 3}, with an Any {type_url 1, value 2} of
// RetryInfo {retry_delay 1: {seconds 1, nanos 2}}.
func statusProto(r *refusal) []byte {
	var b wire.Builder
	b.Varint(1, uint64(r.code()))
	b.String(2, r.text)
	if r.retry > 0 {
		detail := b.Open(3)
		b.String(1, retryInfoType)
		value := b.Open(2)
		delay := b.Open(1)
		b.Varint(1, uint64(r.retry/time.Second))
		b.Varint(2, uint64(r.retry%time.Second))
		b.Close(delay)
		b.Close(value)
		b.Close(detail)
	}
	return b.B
}
