package api

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
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

// minGzip is the body size from which compression pays.
const minGzip = 1 << 10

// write sends an answer, compressed if the client takes it.
func write(w http.ResponseWriter, r *http.Request, a answer) {
	if a.contentType != "" {
		w.Header().Set("Content-Type", a.contentType)
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if len(a.body) >= minGzip && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(a.status)
		z := gzip.NewWriter(w)
		_, _ = z.Write(a.body) // the client may be gone
		_ = z.Close()
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}
