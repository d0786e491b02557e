// Package receive listens for telemetry and passes it on as OTLP.
//
// It converts every protocol (OTLP over gRPC and HTTP, Jaeger's thrift over HTTP, Jaeger's protobuf over gRPC,
// Zipkin's JSON and protobuf) to the bytes of one ExportTraceServiceRequest, and passes it to the [Sink]. The
// client gets its answer only after the Sink has answered, so the Sink's guarantee (durability) extends to the
// client. OTLP metrics go to a [MetricsSink]. Logs and profiles get an answer, but are not stored (signals.go).
//
// Both OTLP listeners accept OTLP over gRPC and HTTP: sniff.go recognises the protocol by the first bytes,
// because confusing 4317 with 4318 is the most common mistake of users. Each of them, and Jaeger's own port,
// serves Jaeger's and OTLP's gRPC. grpc-go and net/http are the servers.
//
// Two places limit the memory that clients can use: registry.go and arrivals.go limit the number of connections
// and the bytes of incomplete requests; limits.go limits the number and bytes of complete requests. A request
// takes a slot only when its last byte has arrived, so a slow client delays only itself.
//
// The package makes no object for a span: OTLP payloads pass through unchanged, and the packages jaeger and
// zipkin translate bytes to OTLP bytes, one span at a time. The Sink validates spans and ids.
package receive
