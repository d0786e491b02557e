// Package prometheus is Prometheus inside this process, made of Prometheus' own
// packages: its storage with exemplars, its query engine, its scraper, rules,
// remote write and read, and its HTTP API.
//
// It reads the configuration file that the real Prometheus reads. A problem with
// metrics stays here: damaged files are moved aside, a start on a full disk is tried
// again, and the embedding program keeps running. A wrong configuration is the caller's
// mistake, and is refused before anything starts.
//
// Samples come in by three ways. The scraper and Appendable are trusted: they are
// this process's own. outside.go bounds what other processes send, by OTLP
// (AppendOTLP) and by remote write (Options.Receiver).
//
// The embedding program decides where to listen (Handler), which hosts and origins
// may ask, the contents of the start page (Options.UI), and which other series there are
// (Appendable). Alerts are evaluated and shown. Nothing sends them.
package prometheus
