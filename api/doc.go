// Package api serves Tempo's HTTP query API, version 3.0, over a query.Engine: traces by id, search, names and
// values of attributes, and the status routes. It serves tempopb.StreamingQuerier over gRPC on the same port.
// Each file has one family of routes.
//
// Answers are JSON in the dialect of protobuf's JSON mapping (camelCase, zero values left out, 64-bit integers
// as strings, bytes as base64) or protobuf, according to the Accept header. Grafana parses them strictly: it
// accepts no unknown members, and requires resource, scope and status in a trace. Errors are plain text.
//
// With tenants, each query names the tenants whose spans it reads, by X-Scope-OrgID.
//
// Two things differ from Tempo on purpose: answers include the spans of the last 30 seconds, and a request
// without a time range searches everything stored.
package api
