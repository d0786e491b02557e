// Package jaeger turns batches of Jaeger's spans into OTLP: bytes in, bytes out.
//
// Thrift (thrift.go, read by thriftread.go) and api_v2 protobuf (proto.go) are read
// into one span (span.go), which is written and used again for the next, so both
// have the same rules: OpenTelemetry's "OpenTelemetry to Jaeger" mapping read
// backwards. testdata/thrift.txt and proto.txt show each rule.
//
// Whether ids are good is for the reader of the spans to judge. Errors are for the
// sender: they say what is wrong with the bytes.
package jaeger
