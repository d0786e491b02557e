// Package otlp carries spans between OTLP's wire forms and [trace.Table]
// without protobuf objects in between: decoding into objects costs several
// times as much as the rest of ingest.
//
// [Validate] walks every byte of a request and is the only judge of input;
// [Append] then fills a Table from bytes known to be good. [AppendTraces] writes
// rows back as protobuf. JSON goes through protobuf bytes in both directions,
// [FromJSON] and [ToJSON], driven by the same description of the messages
// (message.go) that Validate walks by.
//
// Messages: opentelemetry-proto, trace/v1, common/v1, resource/v1 and
// collector/trace/v1. An ExportTraceServiceRequest and a TracesData are the same
// bytes. Unknown fields are ignored, as protobuf wants.
package otlp
