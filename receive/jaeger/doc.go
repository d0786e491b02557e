// Package jaeger translates batches of Jaeger's spans from bytes to OTLP bytes.
//
// Thrift (thrift.go, decoded by thriftread.go) and api_v2 protobuf (proto.go) are decoded into one span
// (span.go), which is written and reused for the next span. So both have the same rules: the inverse of
// OpenTelemetry's "OpenTelemetry to Jaeger" mapping. testdata/thrift.txt and proto.txt show each rule.
//
// The package does not validate ids; the receiver of the spans does. Errors are meant for the sender: they
// describe the mistake in the bytes.
package jaeger
