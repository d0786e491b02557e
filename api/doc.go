// Package api serves Tempo's HTTP query API, version 3.0, over a query.Engine:
// traces by id, search, names and values of attributes, and the small status
// routes, and tempopb.StreamingQuerier by gRPC on the same port. One file a
// family of routes.
//
// Answers are JSON in the dialect of protobuf's JSON mapping (camelCase, zero
// values left out, 64-bit integers as strings, bytes as base64) or protobuf,
// as the Accept header asks. Grafana reads them strictly: no unknown members,
// and resource, scope and status always there in a trace. Errors are plain
// text.
//
// With tenants each query names whose spans it reads, by X-Scope-OrgID.
//
// One thing differs from Tempo on purpose: spans of the last 30 seconds are not
// hidden, and a request without a time range searches everything stored.
package api
