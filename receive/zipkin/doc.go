// Package zipkin turns lists of Zipkin's spans into OTLP: bytes in, bytes out.
//
// JSON of v2 (zipkin-api, zipkin2-api.yaml) and of v1 (zipkin-api.yaml), and v2's
// protobuf (zipkin.proto) are read into one span (span.go), which is written and
// used again for the next, so all have the same rules; testdata/zipkin.txt shows
// each. v1 says in annotations what v2 says in fields: v1.go moves it there.
//
// Whether ids are good is for the reader of the spans to judge. Errors are for the
// sender: they say what is wrong with the bytes.
package zipkin
