// Package conf holds the configuration files that the embedded stack and the
// real one share, and makes those that the program itself reads available as
// bytes, so that the binary needs no other file.
//
// The files stay valid for the real programs (Traefik, Tempo, Prometheus,
// Grafana): what etude needs beyond them goes into flags, never into these files.
package conf

import _ "embed"

// TraefikDynamic is Traefik's dynamic configuration: the routers and services
// of the demo. It is a Go template; the variables USERVICE1_URL to
// USERVICE4_URL say where the services are, and default to the names they
// have in the compose network. Callers must not change the bytes.
//
//go:embed traefik/dynamic.yaml
var TraefikDynamic []byte

// Prometheus is the configuration of Prometheus, real or embedded. Its targets
// are named as in the compose network. Callers must not change the bytes.
//
//go:embed prometheus.yaml
var Prometheus []byte
