package prometheus

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
)

// maxArriving limits the total size of the bodies that are arriving at the receiver or are in its memory, in
// the form in which they were sent. A request counts until it is answered. It takes one of the slots for
// letters only after it has arrived completely, so an incomplete request blocks others only by its bytes.
const maxArriving = 2 * maxRequestBody

// arriving is the number of these bytes.
type arriving struct{ bytes atomic.Int64 }

// whole calls next after a request's body is in memory. It refuses the request when there is no room. A request
// without a length reserves the maximum.
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
			http.Error(w, "429 requests with metrics exceed "+strconv.Itoa(maxArriving)+" bytes in total: send again later", http.StatusTooManyRequests)
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
