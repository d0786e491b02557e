// Package receive listens for telemetry and hands it on as OTLP.
//
// Many protocols, one outcome: OTLP over gRPC and over HTTP, Jaeger's thrift over
// HTTP, Jaeger's protobuf over gRPC and Zipkin's JSON and protobuf all become the
// bytes of one ExportTraceServiceRequest, which goes to the [Sink]. The client gets
// its answer only after the Sink has answered, so that the Sink's promise
// (durability) is the client's. OTLP metrics go to a [MetricsSink]; logs and profiles
// are answered, and not kept (signals.go).
//
// Both OTLP listeners take every kind of OTLP: a connection is sorted by its first
// bytes (sniff.go), because a client pointed at the wrong one of 4317 and 4318 is
// the commonest mistake in the field. Each of them, and Jaeger's own port, serves
// the gRPC of Jaeger and of OTLP. grpc-go and net/http do the serving.
//
// Memory that clients can take is bounded in three places: the number of
// connections and the bytes of requests that are not whole yet (registry.go,
// arrivals.go), and the number and bytes of whole requests (limits.go). A request
// takes a slot only when its last byte has arrived, so a slow client delays itself
// alone.
//
// No objects are made on the way: OTLP payloads pass through as they came, and the
// other protocols go from their bytes to OTLP's, one span at a time (jaeger, zipkin).
// The Sink judges what spans mean and whether their ids are good.
package receive
