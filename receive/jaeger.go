package receive

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"mime"
	"net/http"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
)

// maxThriftList bounds the elements of one thrift list: a list is allocated by
// the length it announces. No honest body of 20 MiB comes near.
const maxThriftList = 1 << 18

// serveJaeger is the collector's POST /api/traces: one jaeger.Batch without an
// envelope. The statuses are those of the Jaeger receiver that Tempo uses; the
// query string (format=jaeger.thrift) means nothing to it either.
func (in *intake) serveJaeger(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/api/traces" {
		plain(w, http.StatusNotFound, fmt.Sprintf("404 nothing at %s: Jaeger batches go to POST /api/traces", r.URL.Path))
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		in.stats.refuse(JaegerThrift, unsupported)
		plain(w, http.StatusMethodNotAllowed, fmt.Sprintf("405 %s is not possible here: send a batch by POST", r.Method))
		return
	}
	newProtocol, err := thriftProtocol(r.Header.Get("Content-Type"))
	if err == nil {
		err = in.take(w, r, func(ctx context.Context, b []byte) error {
			return in.submitJaeger(ctx, newProtocol, b)
		})
	}
	if err != nil {
		in.refuseJaeger(w, in.refused(JaegerThrift, err))
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (in *intake) submitJaeger(ctx context.Context, newProtocol newThrift, b []byte) error {
	batch, err := decodeJaeger(newProtocol, b, in.limits.Spans)
	if err != nil {
		return err
	}
	p := protoBuilder{b: getBuffer()}
	defer func() { putBuffer(p.b) }()
	p.jaegerBatch(batch)
	return in.submit(ctx, JaegerThrift, p.b)
}

// refuseJaeger answers 500 for spans that the Sink refuses, unlike 400 for a
// body that is not thrift: clients of the real receiver know it so.
func (in *intake) refuseJaeger(w http.ResponseWriter, r *refusal) {
	status, text := r.status(), r.text
	if r.reason == invalid {
		status, text = http.StatusInternalServerError, "spans were refused: "+text
	}
	if r.retry > 0 {
		w.Header().Set("Retry-After", r.retrySeconds())
	}
	plain(w, status, text)
}

type newThrift func(thrift.TTransport, *thrift.TConfiguration) thrift.TProtocol

func binaryThrift(t thrift.TTransport, c *thrift.TConfiguration) thrift.TProtocol {
	return thrift.NewTBinaryProtocolConf(t, c)
}

func compactThrift(t thrift.TTransport, c *thrift.TConfiguration) thrift.TProtocol {
	return thrift.NewTCompactProtocolConf(t, c)
}

func thriftProtocol(contentType string) (newThrift, error) {
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, refuse(unsupported, "no usable Content-Type (%v): send application/x-thrift", err)
	}
	switch media {
	case "application/x-thrift", "application/vnd.apache.thrift.binary":
		return binaryThrift, nil
	case "application/vnd.apache.thrift.compact":
		return compactThrift, nil
	}
	return nil, refuse(unsupported, "Content-Type %q is not supported: send application/x-thrift", media)
}

// decodeJaeger reads one batch. A length in it is checked against the bytes
// that are left before anything is allocated for it.
func decodeJaeger(newProtocol newThrift, b []byte, maxSpans int) (*jaeger.Batch, error) {
	config := &thrift.TConfiguration{
		MaxMessageSize:   int32(min(max(len(b), 1), math.MaxInt32)),
		MaxContainerSize: int32(min(max(maxThriftList, maxSpans), math.MaxInt32)),
	}
	transport := &thrift.TMemoryBuffer{Buffer: bytes.NewBuffer(b)}
	batch := jaeger.NewBatch()
	if err := batch.Read(context.Background(), newProtocol(transport, config)); err != nil {
		return nil, refuse(malformed, "body is not a Jaeger thrift batch: %v", err)
	}
	if n := transport.Len(); n > 0 {
		return nil, refuse(malformed, "body is not a Jaeger thrift batch: %d bytes follow its end", n)
	}
	if len(batch.Spans) > maxSpans {
		return nil, refuse(tooLarge, "batch has %d spans, the limit is %d; send smaller batches", len(batch.Spans), maxSpans)
	}
	return batch, nil
}
