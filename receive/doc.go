// Package receive listens for spans and hands them on as OTLP.
//
// Many protocols, one outcome: OTLP over gRPC and over HTTP, Jaeger thrift over
// HTTP, Jaeger protobuf over gRPC and Zipkin v2 as JSON or protobuf all become
// the bytes of one ExportTraceServiceRequest, which goes to the [Sink]. The
// answer to the client is written only after the Sink has answered, so that what
// the Sink promises (durability) is what the client hears. A request is taken
// whole or refused whole.
//
// Both OTLP listeners take every kind of OTLP: a connection is sorted by its
// first bytes (sniff.go), because a client pointed at the wrong one of 4317 and
// 4318 is the commonest mistake in the field. gRPC of Jaeger and of OTLP is served
// at each of them and at Jaeger's own port alike.
//
// No objects are made on the way: OTLP payloads pass through as they came, the
// other protocols go from their bytes to OTLP's, one span at a time. What
// the spans mean, and whether their ids are good, is the Sink's to judge.
package receive
