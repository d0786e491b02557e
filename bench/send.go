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

// sender sends payloads from one worker at a time and says what became of each.
// It gives the payload's memory back to the pool.
type sender interface {
	send(ctx context.Context, payload *[]byte) outcome
	close()
}

// outcome is the server's answer to a payload. Neither refused nor failed:
// acknowledged, but for the rejected spans.
type outcome struct {
	refused  bool   // the server answered, and did not take it
	failed   bool   // there was no answer, or none that can be read
	reason   string // short, the same for all of a kind
	text     string // the answer's text, of one example of the kind
	rejected int64  // spans of a partial success that were not accepted
}

func refused(reason, text string) outcome {
	return outcome{refused: true, reason: reason, text: text}
}

func failed(reason, text string) outcome {
	return outcome{failed: true, reason: reason, text: text}
}

// payloadPool holds payload buffers.
type payloadPool struct{ sync.Pool }

// minPayloadCap spares small payloads most of the growing.
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

// Put takes a buffer back.
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

// pack returns the payload compressed. Its own memory goes back to the pool.
func (p *packer) pack(payload *[]byte) *[]byte {
	packed := bytes.NewBuffer((*p.pool.Get(0))[:0])
	w := p.writers.Get().(*gzip.Writer)
	w.Reset(packed)
	_, _ = w.Write(*payload) // into memory: cannot fail
	_ = w.Close()
	p.writers.Put(w)
	p.pool.Put(payload)
	b := packed.Bytes()
	return &b
}

// readResponse reads an ExportTraceServiceResponse: field 1 is partial_success,
// and in it 1 is rejected_spans, 2 is error_message.
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

// acknowledged is the outcome of a success with this response body.
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
