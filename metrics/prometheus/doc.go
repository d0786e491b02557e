// Package prometheus runs Prometheus in this process, from Prometheus' own packages: its storage with
// exemplars, its query engine, its scraper, rules, remote write and read, and its HTTP API.
//
// It reads the configuration file of the real Prometheus. A problem with metrics does not affect the embedding
// program: damaged files are moved aside, and a start on a full disk is retried. A wrong configuration is the
// caller's mistake, and is refused before anything starts.
//
// Samples arrive in three ways. The scraper and Appendable are trusted, because they belong to this process.
// outside.go limits the samples that other processes send, by OTLP (AppendOTLP) and by remote write
// (Options.Receiver).
//
// The embedding program decides where to listen (Handler), which hosts and origins may send requests, the
// contents of the start page (Options.UI), and which other series to add (Appendable). The package evaluates
// and shows alerts, but does not send them.
package prometheus
