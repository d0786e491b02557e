package prometheus

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
)

// maxArriving bounds the bodies that arrive at the receiver or are in its memory, all
// together, as they were sent. A request has its place until it is answered, and takes
// one of the slots for letters only when all of it is there: half a request stops no
// other but by its bytes.
const maxArriving = 2 * maxRequestBody

// arriving is how many bytes there are.
type arriving struct{ bytes atomic.Int64 }

// whole hands a request on once its body is in memory, and refuses it when there is no
// room. A sender that does not tell the length gets room for the longest.
func (a *arriving) whole(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		size := r.ContentLength
		if size > maxRequestBody {
			http.Error(w, "413 the body is larger than "+strconv.Itoa(maxRequestBody)+" bytes: send smaller requests", http.StatusRequestEntityTooLarge)
			return
		}
		if size < 0 {
			size = maxRequestBody
		}
		defer a.bytes.Add(-size)
		if a.bytes.Add(size) > maxArriving {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "429 requests with metrics take more than "+strconv.Itoa(maxArriving)+" bytes together: send again later", http.StatusTooManyRequests)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "400 read the body: "+err.Error(), http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next(w, r)
	}
}
