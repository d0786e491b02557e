package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/gzip"

	"etude/internal/wire"
)

// sender sends a payload and returns its outcome. It returns the payload's memory to the pool. Only one worker
// at a time uses a sender.
type sender interface {
	send(ctx context.Context, payload *[]byte) outcome
	close()
}

// outcome is the server's answer to a payload. If it is neither refused nor failed, the server acknowledged all
// spans except the rejected ones.
type outcome struct {
	refused  bool   // the server answered, and refused the payload
	failed   bool   // there was no answer, or it could not be parsed
	reason   string // short, the same for all of a kind
	text     string // text of one answer of this kind
	rejected int64  // spans rejected by a partial success
}

func refused(reason, text string) outcome {
	return outcome{refused: true, reason: reason, text: text}
}

func failed(reason, text string) outcome {
	return outcome{failed: true, reason: reason, text: text}
}

// payloadPool has reusable payload buffers.
type payloadPool struct{ sync.Pool }

// minPayloadCap is large enough that small payloads rarely need to grow their buffer.
const minPayloadCap = 4 << 10

// Get returns a buffer with room for n bytes.
func (p *payloadPool) Get(n int) *[]byte {
	if b, ok := p.Pool.Get().(*[]byte); ok && cap(*b) >= n {
		*b = (*b)[:n]
		return b
	}
	b := make([]byte, n, max(n, minPayloadCap))
	return &b
}

// Put returns a buffer to the pool.
func (p *payloadPool) Put(b *[]byte) { p.Pool.Put(b) }

// packer compresses payloads with gzip.
type packer struct {
	pool    *payloadPool
	writers sync.Pool // of *gzip.Writer
}

// newPacker returns nil for no compression.
func newPacker(compression string, pool *payloadPool) *packer {
	if compression == "none" {
		return nil
	}
	return &packer{pool: pool, writers: sync.Pool{New: func() any {
		w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		if err != nil {
			panic("bench: gzip level: " + err.Error())
		}
		return w
	}}}
}

// pack returns the compressed payload. The uncompressed payload's memory goes back to the pool.
func (p *packer) pack(payload *[]byte) *[]byte {
	packed := bytes.NewBuffer((*p.pool.Get(0))[:0])
	w := p.writers.Get().(*gzip.Writer)
	w.Reset(packed)
	_, _ = w.Write(*payload) // writes to memory cannot fail
	_ = w.Close()
	p.writers.Put(w)
	p.pool.Put(payload)
	b := packed.Bytes()
	return &b
}

// readResponse parses an ExportTraceServiceResponse. Field 1 is partial_success; in it, 1 is rejected_spans and
// 2 is error_message.
func readResponse(b []byte) (rejected int64, message string, err error) {
	r := wire.Reader{Rest: b}
	for r.Next() {
		if !r.IsBytes(1) {
			continue
		}
		partial := wire.Reader{Rest: r.Data}
		for partial.Next() {
			switch {
			case partial.IsVarint(1):
				rejected = int64(partial.Value)
			case partial.IsBytes(2):
				message = string(partial.Data)
			}
		}
		err = errors.Join(err, partial.Err)
	}
	err = errors.Join(err, r.Err)
	if err == nil && rejected < 0 {
		err = fmt.Errorf("rejected_spans is %d", rejected)
	}
	if err != nil {
		return 0, "", fmt.Errorf("read ExportTraceServiceResponse: %w", err)
	}
	return rejected, message, nil
}

// acknowledged returns the outcome of a success with this response body.
func acknowledged(body []byte) outcome {
	if len(body) == 0 {
		return outcome{}
	}
	rejected, message, err := readResponse(body)
	if err != nil {
		return failed("answer cannot be read", err.Error())
	}
	return partial(rejected, message)
}

func partial(rejected int64, message string) outcome {
	o := outcome{rejected: rejected}
	if rejected > 0 {
		o.reason, o.text = "partial success", message
	}
	return o
}
