package api

import (
	"net/http"
	"strings"
)

const (
	typeJSON     = "application/json"
	typeProtobuf = "application/protobuf"
)

// wantsProtobuf decides by the Accept header as Tempo does: no q-values, the
// first of protobuf and JSON that is mentioned, JSON without either.
func wantsProtobuf(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), typeProtobuf)
}
