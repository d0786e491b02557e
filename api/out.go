package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"

	"etude/query"
)

// An answer is sent while it is computed. Its text goes to one buffer, which is sent and emptied when full, so
// an answer of any size takes some ten thousand bytes. The answer is part of its query: the query's time limit
// applies to it, its memory counts for the query, and it ends when the client leaves.
//
// Until the first piece is sent, an error can still become a status. Later it cannot, and a client must not
// mistake half an answer for a complete one. So the connection is aborted: HTTP/1.1 shows this as a missing
// last chunk, and HTTP/2 as a reset stream.

const (
	sendAt = 32 << 10 // bytes in the buffer at which they are sent
	// minGzip is the smallest body that is compressed.
	minGzip = 1 << 10
	// minDeadline is the smallest body that needs a write deadline.
	minDeadline = 2 << 10
)

// out is one answer.
type out struct {
	s   *server
	w   http.ResponseWriter
	r   *http.Request
	job *query.Job // nil until begin

	status      int // 0 for 200
	contentType string
	b           []byte // written but not sent
	held        int    // of the job's memory, for b
	result      int    // of the job's memory; see holdResult
	begun       bool   // some bytes have been sent
	sends       int    // calls of send
	small       bool   // the whole answer fits into the connection's buffer, so sending never waits for the client
	telling     bool   // the query still runs and its slot cannot be lent, or its time is over
	gzip        *gzip.Writer
	encoder     *json.Encoder // see json
}

// begin starts the request's query: it waits until the query may run. The caller must call end.
func (o *out) begin(ctx context.Context) (context.Context, error) {
	job, err := o.s.Engine.Begin(ctx)
	if err != nil {
		return nil, err
	}
	o.job = job
	return job.Context(), nil
}

func (o *out) end() {
	if o.gzip != nil {
		gzips.Put(o.gzip)
		o.gzip = nil
	}
	if o.job != nil {
		o.job.End()
		o.job = nil
	}
}

// Write appends to the answer.
func (o *out) Write(p []byte) (n int, err error) {
	o.b = append(o.b, p...)
	return len(p), o.step()
}

// step is called between the parts of an answer. It sends the buffered bytes when there are enough.
func (o *out) step() error {
	if o.job != nil {
		if err := o.job.Err(); err != nil {
			return err
		}
		if n := cap(o.b) - max(o.held, 2*sendAt); n > 0 {
			o.held += n
			if err := o.job.Hold(n, "an answer with a part of %d bytes", len(o.b)); err != nil {
				return err
			}
		}
	}
	if len(o.b) < sendAt {
		return nil
	}
	err := o.send(o.b)
	o.b = o.b[:0]
	return err
}

// holdResult counts the memory of a buffer besides b. size is its new, larger size.
func (o *out) holdResult(size int) error {
	if n := size - max(o.result, sendAt); n > 0 {
		o.result += n
		return o.job.Hold(n, "a result of %d bytes", size)
	}
	return nil
}

// send sends bytes, and the head of the answer before the first ones.
func (o *out) send(p []byte) error {
	o.sends++
	if !o.begun {
		o.begun = true
		o.head(-1)
	}
	if o.gzip != nil {
		_, err := o.gzip.Write(p)
		return err
	}
	return o.push(p)
}

// head sends status and headers. length is the length of the body, or negative when unknown.
func (o *out) head(length int) {
	h := o.w.Header()
	if o.contentType != "" {
		h.Set("Content-Type", o.contentType)
	}
	if (length < 0 || length >= minGzip) && strings.Contains(o.r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		o.gzip = gzips.Get().(*gzip.Writer)
		o.gzip.Reset(pusher{o})
	} else if length >= 0 {
		h.Set("Content-Length", strconv.Itoa(length))
	}
	if o.status == 0 {
		o.status = http.StatusOK
	}
	o.w.WriteHeader(o.status)
}

// gzips are reused writers; each takes a megabyte.
var gzips = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// pusher is the writer below a gzip.Writer.
type pusher struct{ o *out }

func (p pusher) Write(b []byte) (int, error) {
	if err := p.o.push(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// errGone is the error of an answer whose client has left or reads too slowly.
var errGone = errors.New("the client has left, or reads too slowly")

// push writes bytes to the connection in pieces. The client has a limited time for each.
func (o *out) push(p []byte) error {
	for len(p) > 0 {
		piece := p[:min(len(p), sendAt)]
		p = p[len(piece):]
		if err := o.pushPiece(piece); err != nil {
			return err
		}
	}
	return nil
}

func (o *out) pushPiece(piece []byte) (err error) {
	switch {
	case o.job == nil || o.small: // Fast path: the answer fits into the connection's buffer.
		_, err = o.w.Write(piece)
	case o.telling:
		o.deadline(o.lastMoment())
		_, err = o.w.Write(piece)
	default:
		if err := o.job.Err(); err != nil {
			return err
		}
		o.deadline(o.lastMoment())
		defer o.deadline(time.Time{}) // computing the next piece may take long
		err = o.job.Write(func() error { _, err := o.w.Write(piece); return err })
		if ended := o.job.Err(); err != nil && ended != nil {
			return ended
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return nil
}

// lastMoment is the time by which the client must read the piece that is sent now.
func (o *out) lastMoment() time.Time {
	if o.telling {
		return time.Now().Add(o.s.Stall)
	}
	return o.s.deadlineOf(o.job)
}

// deadlineOf returns the time by which the client must read the piece that is sent now. It is a little later
// than the end of the query's time, so that the error names the query's limit.
func (s *server) deadlineOf(j *query.Job) time.Time {
	stall, end := time.Now().Add(s.Stall), j.Deadline().Add(20*time.Millisecond)
	if end.Before(stall) {
		return end
	}
	return stall
}

// deadline limits writing to the connection, if the writer supports it.
func (o *out) deadline(t time.Time) { _ = http.NewResponseController(o.w).SetWriteDeadline(t) }

// finish sends the remaining bytes.
func (o *out) finish() error {
	if !o.begun {
		o.begun, o.small = true, len(o.b) < minDeadline
		o.head(len(o.b))
	}
	if err := o.sendLast(); err != nil || o.small || o.job == nil {
		return err
	}
	// The last bytes have a deadline too. The connection is returned without one.
	o.deadline(o.lastMoment())
	_ = http.NewResponseController(o.w).Flush()
	o.deadline(time.Time{})
	return nil
}

func (o *out) sendLast() error {
	if o.gzip == nil {
		return o.push(o.b)
	}
	if _, err := o.gzip.Write(o.b); err != nil {
		return err
	}
	return o.gzip.Close()
}

// cut aborts an answer that has begun and cannot be completed.
func (o *out) cut(err error) {
	markCut(o.w, o.s.statusOf(o.r.URL.Path, err))
	panic(http.ErrAbortHandler)
}
