package edge

import (
	"bufio"
	"net"
	"net/http"
)

// recorder passes an answer through and remembers its status.
type recorder struct {
	http.ResponseWriter
	status int // 0 until the answer begins
	bytes  int64
}

// WriteHeader remembers the final status, not the 1xx before it. 101 is final too,
// but ReverseProxy sends it past WriteHeader: see Hijack.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// Hijack is called for a protocol upgrade only.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil {
		r.status = http.StatusSwitchingProtocols
	}
	return conn, rw, err
}

// Unwrap lets http.ResponseController reach flushing and full duplex.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
