// Package prometheus is Prometheus inside this process, made of Prometheus' own
// packages: its storage with exemplars, its query engine, its scraper, rules,
// remote write and read, and its HTTP API.
//
// It reads the configuration file that the real Prometheus reads. It guarantees
// that what goes wrong with metrics stays here: damaged files are moved aside,
// a full disk is waited for, and whoever embeds it goes on. A wrong
// configuration is the caller's mistake, though, and refused before anything
// starts.
//
// It leaves to others where to listen (Handler), what the start page shows
// (Options.UI), and which series there are beside the scraped ones (Appendable).
// Alerts are evaluated and shown, but sent to nobody.
package prometheus
