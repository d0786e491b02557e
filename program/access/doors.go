// Package access says who may connect and ask, and how etude itself connects to others:
// the flags of TLS, tokens, hosts and origins ([Flags], put to work by [Doors]) and
// those of clients ([Client]). Package internal/door does the checks.
package access

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"

	"etude/internal/door"
	"etude/program/listen"
)

// Flags say who may connect and ask. A listener is named as the flag of its
// address is, without -addr.
type Flags struct {
	TLSCert        string   `name:"tls-cert" env:"ETUDE_TLS_CERT" placeholder:"FILE" help:"Certificate in PEM, followed by its chain: listeners speak TLS, for HTTP and for gRPC. The file may change while etude runs."`
	TLSKey         string   `name:"tls-key" env:"ETUDE_TLS_KEY" placeholder:"FILE" help:"Key of --tls-cert, in PEM."`
	TLSListeners   []string `name:"tls-listeners" env:"ETUDE_TLS_LISTENERS" default:"all" placeholder:"NAME" help:"Listeners that speak TLS: some of api, page, prometheus, otlp-grpc, otlp-http, jaeger, jaeger-grpc, zipkin, dashboard, edge. all is every one but edge, the entry point of the services."`
	AuthTokenFile  string   `name:"auth-token-file" env:"ETUDE_AUTH_TOKEN_FILE" placeholder:"FILE" help:"Tokens that clients must send, as Authorization: Bearer TOKEN or as the password of basic authentication, which browsers ask for. One a line; 'ingest TOKEN' is good for sending only, 'query TOKEN' for reading only. The file may change while etude runs."`
	AuthListeners  []string `name:"auth-listeners" env:"ETUDE_AUTH_LISTENERS" default:"all" placeholder:"NAME" help:"Listeners that require a token of --auth-token-file: all, or some of ingest (all that accept spans), api, page, prometheus, dashboard."`
	AllowedHosts   []string `name:"allowed-hosts" env:"ETUDE_ALLOWED_HOSTS" placeholder:"HOST" help:"Names, besides those of this machine, under which listeners that are read from may be addressed: NAME, *.NAME, an address, or * for all. A listener that other machines reach checks names only when this is given."`
	AllowedOrigins []string `name:"allowed-origins" env:"ETUDE_ALLOWED_ORIGINS" placeholder:"ORIGIN" help:"Web pages of other origins that may send spans and read answers: https://app.example, https://*.example, http://localhost:* for any port. Without it, pages of this machine may send."`
}

// ingestListeners take in data of clients; any Host may address them, since
// containers and forwarded ports use many.
var ingestListeners = []string{"otlp-grpc", "otlp-http", "jaeger", "jaeger-grpc", "zipkin"}

// readListeners answer questions.
var readListeners = []string{"api", "page", "prometheus", "dashboard"}

// ListenerNames are all names that the flags know.
func ListenerNames() []string {
	return slices.Concat(readListeners, ingestListeners, []string{EntryListener})
}

const (
	allIngest     = "ingest" // one word for ingestListeners
	EntryListener = "edge"
)

// CheckDoors finds mistakes before anything is opened. An error names the flag.
func (f *Flags) CheckDoors() error {
	errs := []error{
		checkNames("tls-listeners", f.TLSListeners, ListenerNames()),
		checkNames("auth-listeners", f.AuthListeners, append([]string{allIngest}, readListeners...)),
	}
	if (f.TLSCert == "") != (f.TLSKey == "") {
		errs = append(errs, errors.New("--tls-cert and --tls-key: want both, or neither"))
	}
	if _, err := door.NewHosts(f.AllowedHosts); err != nil {
		errs = append(errs, fmt.Errorf("--allowed-hosts: %w", err))
	}
	if _, err := door.NewOrigins(f.AllowedOrigins); err != nil {
		errs = append(errs, fmt.Errorf("--allowed-origins: %w", err))
	}
	return errors.Join(errs...)
}

func checkNames(flag string, names, known []string) error {
	for _, name := range names {
		if name != "all" && !slices.Contains(known, name) {
			return fmt.Errorf("--%s %s: want all, or some of %s", flag, name, strings.Join(known, ", "))
		}
	}
	return nil
}

// SpeaksTLS reports whether a listener does.
func (f *Flags) SpeaksTLS(listener string) bool {
	return f.TLSCert != "" && (slices.Contains(f.TLSListeners, listener) || listener != EntryListener && slices.Contains(f.TLSListeners, "all"))
}

// WantsToken reports whether a listener does.
func (f *Flags) WantsToken(listener string) bool {
	if slices.Contains(ingestListeners, listener) {
		listener = allIngest
	}
	return f.AuthTokenFile != "" && listener != EntryListener && (slices.Contains(f.AuthListeners, listener) || slices.Contains(f.AuthListeners, "all"))
}

// Scheme is that of a listener's URLs: http or https.
func (f *Flags) Scheme(listener string) string {
	if f.SpeaksTLS(listener) {
		return "https"
	}
	return "http"
}

// Doors are the flags, put to work in one process.
type Doors struct {
	*Flags
	certificate *door.Certificate // nil: no listener speaks TLS
	tokens      *door.Tokens      // nil: no listener wants one
	hosts       *door.Hosts
	origins     *door.Origins
	own         string // the token that the processes of one etude show each other

	exposed []string // listeners that other machines reach, for one warning
}

// OwnTokenEnv carries the own token from `up` to its children.
const OwnTokenEnv = "ETUDE_OWN_TOKEN"

// Open reads the files that the flags name.
func (f *Flags) Open(log *slog.Logger) (d *Doors, err error) {
	if err := f.CheckDoors(); err != nil {
		return nil, err
	}
	d = &Doors{Flags: f, own: os.Getenv(OwnTokenEnv)}
	d.hosts, _ = door.NewHosts(f.AllowedHosts) // checked above, and so are origins
	d.origins, _ = door.NewOrigins(f.AllowedOrigins)
	if d.own == "" {
		d.own = rand.Text()
	}
	if f.TLSCert != "" {
		if d.certificate, err = door.LoadCertificate(f.TLSCert, f.TLSKey, log); err != nil {
			return nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
	}
	if f.AuthTokenFile != "" {
		if d.tokens, err = door.LoadTokens(f.AuthTokenFile, log, d.own); err != nil {
			return nil, fmt.Errorf("--auth-token-file: %w", err)
		}
	}
	return d, nil
}

// Listen opens the addresses of a listener.
func (d *Doors) Listen(listener, addrs string) (*door.Listener, error) {
	l, err := door.Listen(addrs, d.certificateOf(listener))
	if err != nil {
		return nil, listen.Error(addrs, listener+"-addr", err)
	}
	return l, nil
}

// OpenIngest opens the addresses of a listener of package receive, which accepts
// from each by itself.
func (d *Doors) OpenIngest(name, addrs string) ([]net.Listener, error) {
	listener := strings.ReplaceAll(strings.ToLower(name), " ", "-") // "OTLP gRPC" has the flag --otlp-grpc-addr
	parts, err := door.ListenEach(addrs, d.certificateOf(listener))
	if err != nil {
		return nil, listen.Error(addrs, listener+"-addr", err)
	}
	for _, part := range parts {
		d.opened(listener, []net.Addr{part.Addr()})
	}
	return parts, nil
}

// ServerTLS is nil for a listener that does not speak TLS.
func (d *Doors) ServerTLS(listener string) *tls.Config {
	if c := d.certificateOf(listener); c != nil {
		return c.ServerConfig()
	}
	return nil
}

// ClientTLS is how the processes of one etude connect to a listener of theirs; nil
// when it does not speak TLS.
func (d *Doors) ClientTLS(listener string) *tls.Config {
	if c := d.certificateOf(listener); c != nil {
		return c.ClientConfig()
	}
	return nil
}

// IsFor reports whether the certificate is good for a host; there must be one.
func (d *Doors) IsFor(host string) bool { return d.certificate.CheckHost(host) == nil }

// OwnToken is the token that the processes of one etude show each other.
func (d *Doors) OwnToken() string { return d.own }

func (d *Doors) certificateOf(listener string) *door.Certificate {
	if d.SpeaksTLS(listener) {
		return d.certificate
	}
	return nil
}

// opened remembers what other machines reach without TLS or without a token.
func (d *Doors) opened(listener string, addrs []net.Addr) {
	safe := d.SpeaksTLS(listener) && d.WantsToken(listener) || listener == EntryListener
	if !door.IsLoopback(addrs...) && !safe && !slices.Contains(d.exposed, listener) {
		d.exposed = append(d.exposed, listener)
	}
}

// Warn says in one line what other machines can do.
func (d *Doors) Warn(log *slog.Logger) {
	var bare, clear, free []string
	for _, listener := range d.exposed {
		switch {
		case d.WantsToken(listener):
			clear = append(clear, listener)
		case d.SpeaksTLS(listener):
			free = append(free, listener)
		default:
			bare = append(bare, listener)
		}
	}
	switch {
	case len(bare) > 0:
		log.Warn("other machines reach these listeners without TLS and without a token; see --tls-cert and --auth-token-file, or listen on localhost", "listeners", strings.Join(bare, ", "))
	case len(clear) > 0:
		log.Warn("tokens for these listeners cross the network unencrypted; see --tls-cert", "listeners", strings.Join(clear, ", "))
	case len(free) > 0:
		log.Warn("other machines reach these listeners without a token; see --auth-token-file", "listeners", strings.Join(free, ", "))
	}
}

// Guard checks the requests of a listener that is read from. Open are paths that
// need no token.
func (d *Doors) Guard(listener string, l *door.Listener, h http.Handler, open ...string) http.Handler {
	d.opened(listener, l.Addrs())
	g := door.Guard{Origins: d.origins, Role: door.Query, Open: open}
	if door.IsLoopback(l.Addrs()...) || len(d.AllowedHosts) > 0 {
		g.Hosts = d.hosts
	}
	if d.WantsToken(listener) {
		g.Tokens = d.tokens
	}
	return g.Handler(h)
}

// AuthorizeIngest returns how a request with spans is checked by its Authorization
// headers; nil when no token is wanted.
func (d *Doors) AuthorizeIngest() func(headers []string) error {
	if !d.WantsToken(ingestListeners[0]) {
		return nil
	}
	return func(headers []string) error {
		if len(headers) == 1 && d.tokens.Allow(headers[0], door.Ingest) {
			return nil
		}
		return errors.New(door.Unauthorized)
	}
}

// Variables of every OpenTelemetry SDK.
const (
	OTLPHeadersEnv     = "OTEL_EXPORTER_OTLP_HEADERS"
	OTLPCertificateEnv = "OTEL_EXPORTER_OTLP_CERTIFICATE"
)
