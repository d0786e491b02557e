// Package zipkin translates lists of Zipkin's spans from bytes to OTLP bytes.
//
// JSON of v2 (zipkin-api, zipkin2-api.yaml) and of v1 (zipkin-api.yaml), and v2's protobuf (zipkin.proto) are
// decoded into one span (span.go), which is written and reused for the next span. So all have the same rules;
// testdata/zipkin.txt shows each. v1 has in annotations the data that v2 has in fields: v1.go converts it.
//
// The package does not validate ids; the receiver of the spans does. Errors are meant for the sender: they
// describe the mistake in the bytes.
package zipkin
