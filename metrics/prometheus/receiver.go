package prometheus

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/storage/remote"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// buildReceiver serves the writes of other processes to Prometheus' port: remote write 1 and 2, and OTLP. Both
// need Options.Receiver. OTLP also has its own port, which the embedding program serves with AppendOTLP.
func (s *server) buildReceiver(registry client.Registerer) http.Handler {
	if !s.p.options.Receiver {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "404 this port does not accept metrics: start with --metrics.remote-write-receiver, or send OTLP metrics to port 4318", http.StatusNotFound)
		})
	}
	mux := http.NewServeMux()
	// The handler would log each refused sample; outside.done logs each cause once a minute.
	write := remote.NewWriteHandler(discard, registry, s.outside, remoteapi.MessageTypes{remoteapi.WriteV1MessageType, remoteapi.WriteV2MessageType}, false, false)
	mux.Handle("POST "+writePath, s.p.own.instrument("/write", s.arriving.whole(s.serveWrite(write))))
	mux.HandleFunc("POST "+otlpPath, s.p.own.instrument("/otlp/v1/metrics", s.arriving.whole(s.serveOTLP)))
	return mux
}

const (
	writePath = "/api/v1/write"
	otlpPath  = "/api/v1/otlp/v1/metrics"
	protobuf  = "application/x-protobuf"
)

// serveWrite handles remote write. It answers a request with refused samples by 400, as the protocol requires;
// the other samples are stored.
func (s *server) serveWrite(next http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != protobuf {
			http.Error(w, fmt.Sprintf("415 unsupported media type %q: remote write is %s", r.Header.Get("Content-Type"), protobuf), http.StatusUnsupportedMediaType)
			return
		}
		select {
		case s.letters <- struct{}{}:
			defer func() { <-s.letters }()
		case <-r.Context().Done():
			return
		}
		l := &letter{protocol: "remote_write", exact: remoteapi.WriteMessageType(params["proto"]) == remoteapi.WriteV2MessageType}
		answer := &refusing{ResponseWriter: w, l: l}
		next.ServeHTTP(answer, r.WithContext(l.with(r.Context())))
		s.outside.done(l)
	}
}

// refusing turns the success of a request with refused samples into 400.
type refusing struct {
	http.ResponseWriter
	l *letter
}

func (r *refusing) WriteHeader(status int) {
	if n := r.l.refusedSamples(); n > 0 && !r.l.exact && status < http.StatusBadRequest {
		http.Error(r.ResponseWriter, fmt.Sprintf("%d samples were left out, %d were stored; the first: %s", n, r.l.taken, r.l.reason()), http.StatusBadRequest)
		return
	}
	r.ResponseWriter.WriteHeader(status)
}

// serveOTLP handles OTLP/HTTP metrics in protobuf.
func (s *server) serveOTLP(w http.ResponseWriter, r *http.Request) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != protobuf {
		http.Error(w, fmt.Sprintf("415 unsupported media type %q: want %s; JSON goes to port 4318", r.Header.Get("Content-Type"), protobuf), http.StatusUnsupportedMediaType)
		return
	}
	payload, err := readBody(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	rejected, err := s.p.AppendOTLP(r.Context(), Metrics{Payload: payload})
	switch {
	case errors.Is(err, ErrNotOTLP):
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	answer := pmetricotlp.NewExportResponse()
	if rejected.Points > 0 {
		answer.PartialSuccess().SetRejectedDataPoints(int64(rejected.Points))
		answer.PartialSuccess().SetErrorMessage(rejected.Reason)
	}
	body, err := answer.MarshalProto()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", protobuf)
	_, _ = w.Write(body)
}

// readBody returns the decompressed body; serveAPI has limited the sent bytes.
func readBody(r *http.Request) ([]byte, error) {
	var from io.Reader = r.Body
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, fmt.Errorf("read the body: %w", err)
		}
		from = z
	default:
		return nil, fmt.Errorf("unsupported Content-Encoding %q: want gzip", encoding)
	}
	var body bytes.Buffer
	if n, err := io.Copy(&body, io.LimitReader(from, maxRequestBody+1)); err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	} else if n > maxRequestBody {
		return nil, fmt.Errorf("the decompressed body is larger than %d bytes", maxRequestBody)
	}
	return body.Bytes(), nil
}
