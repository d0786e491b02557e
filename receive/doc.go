// Package receive listens for telemetry and hands it on as OTLP.
//
// Many protocols, one outcome: OTLP over gRPC and over HTTP, Jaeger's thrift over
// HTTP, Jaeger's protobuf over gRPC and Zipkin's JSON and protobuf all become the
// bytes of one ExportTraceServiceRequest, which goes to the [Sink]. The client gets
// its answer only after the Sink has answered, so that the Sink's promise
// (durability) is the client's. OTLP metrics go to a [MetricsSink]; logs and profiles
// are answered, and not kept (signals.go).
//
// Both OTLP listeners accept OTLP over gRPC and HTTP: sniff.go recognises the protocol by the first bytes, because
// confusing 4317 with 4318 is the commonest mistake of users. Each of them, and Jaeger's own port, serves the gRPC of
// Jaeger and of OTLP. grpc-go and net/http do the serving.
//
// Two places bound the memory that clients can use: registry.go and arrivals.go bound the number of connections and
// the bytes of incomplete requests, limits.go the number and bytes of complete requests. A request takes a slot only
// when its last byte has arrived, so a slow client delays only itself.
//
// No span becomes an object here: OTLP payloads pass through unchanged, and the packages jaeger and zipkin translate
// bytes to OTLP bytes, one span at a time. The Sink validates spans and ids.
package receive
