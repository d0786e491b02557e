// Package access decides who may connect to etude's listeners, and how etude authenticates itself to others.
// [Flags] holds the flags for TLS, tokens, hosts and origins, and [Doors] applies them. [Client] holds the
// flags of clients. Package internal/door does the checks.
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

// Flags control who may connect to the listeners. The name of a listener is its address flag without -addr.
type Flags struct {
	TLSCert        string   `name:"tls-cert" env:"ETUDE_TLS_CERT" placeholder:"FILE" help:"File with the PEM certificate, followed by its chain, for TLS on HTTP and gRPC listeners. etude reloads the file when it changes."`
	TLSKey         string   `name:"tls-key" env:"ETUDE_TLS_KEY" placeholder:"FILE" help:"File with the PEM key of --tls-cert."`
	TLSListeners   []string `name:"tls-listeners" env:"ETUDE_TLS_LISTENERS" default:"all" placeholder:"NAME" help:"Listeners that use TLS: any of api, page, prometheus, otlp-grpc, otlp-http, jaeger, jaeger-grpc, zipkin, dashboard, edge. all means every listener except edge, the entry point of the services."`
	AuthTokenFile  string   `name:"auth-token-file" env:"ETUDE_AUTH_TOKEN_FILE" placeholder:"FILE" help:"File of tokens, one a line. Clients must send one as Authorization: Bearer TOKEN, or as the password of basic authentication (browsers prompt for it). 'ingest TOKEN' allows only sending spans, 'query TOKEN' only reading them. etude reloads the file when it changes."`
	AuthListeners  []string `name:"auth-listeners" env:"ETUDE_AUTH_LISTENERS" default:"all" placeholder:"NAME" help:"Listeners that require a token of --auth-token-file: all, or any of ingest (every listener that accepts spans), api, page, prometheus, dashboard."`
	AllowedHosts   []string `name:"allowed-hosts" env:"ETUDE_ALLOWED_HOSTS" placeholder:"HOST" help:"Host names, in addition to this machine's own, that requests to the read listeners may use: NAME, *.NAME, an address, or * for all. Without this flag, a listener that other machines can reach accepts every name."`
	AllowedOrigins []string `name:"allowed-origins" env:"ETUDE_ALLOWED_ORIGINS" placeholder:"ORIGIN" help:"Origins of web pages that may send spans and read answers: https://app.example, https://*.example, http://localhost:* for any port. Without this flag, only pages of this machine may send."`
}

// ingestListeners accept data from clients. They accept any Host header, because clients in containers and
// behind forwarded ports use many.
var ingestListeners = []string{"otlp-grpc", "otlp-http", "jaeger", "jaeger-grpc", "zipkin"}

// readListeners answer queries.
var readListeners = []string{"api", "page", "prometheus", "dashboard"}

// ListenerNames returns every listener name that the flags accept.
func ListenerNames() []string {
	return slices.Concat(readListeners, ingestListeners, []string{EntryListener})
}

const (
	allIngest     = "ingest" // one word for ingestListeners
	EntryListener = "edge"
)

// CheckDoors checks the flags before etude opens anything. Its errors name the flag.
func (f *Flags) CheckDoors() error {
	errs := []error{
		checkNames("tls-listeners", f.TLSListeners, ListenerNames()),
		checkNames("auth-listeners", f.AuthListeners, append([]string{allIngest}, readListeners...)),
	}
	if (f.TLSCert == "") != (f.TLSKey == "") {
		errs = append(errs, errors.New("--tls-cert and --tls-key: set both or neither"))
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

// SpeaksTLS reports whether a listener uses TLS.
func (f *Flags) SpeaksTLS(listener string) bool {
	return f.TLSCert != "" && (slices.Contains(f.TLSListeners, listener) || listener != EntryListener && slices.Contains(f.TLSListeners, "all"))
}

// WantsToken reports whether a listener requires a token.
func (f *Flags) WantsToken(listener string) bool {
	if slices.Contains(ingestListeners, listener) {
		listener = allIngest
	}
	return f.AuthTokenFile != "" && listener != EntryListener && (slices.Contains(f.AuthListeners, listener) || slices.Contains(f.AuthListeners, "all"))
}

// Scheme returns the scheme of a listener's URLs: http or https.
func (f *Flags) Scheme(listener string) string {
	if f.SpeaksTLS(listener) {
		return "https"
	}
	return "http"
}

// Doors applies the flags in one process.
type Doors struct {
	*Flags
	certificate *door.Certificate // nil: no listener speaks TLS
	tokens      *door.Tokens      // nil: no listener requires a token
	hosts       *door.Hosts
	origins     *door.Origins
	own         string // the token that the processes of one etude send each other

	exposed []string // listeners that other machines can reach, for one warning
}

// OwnTokenEnv passes the own token from `up` to its children.
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

// OpenIngest opens the addresses of one of package receive's listeners. Package receive accepts from each
// address itself.
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

// ServerTLS returns nil for a listener without TLS.
func (d *Doors) ServerTLS(listener string) *tls.Config {
	if c := d.certificateOf(listener); c != nil {
		return c.ServerConfig()
	}
	return nil
}

// ClientTLS returns the TLS settings with which the processes of one etude connect to one of its listeners, or
// nil for a listener without TLS.
func (d *Doors) ClientTLS(listener string) *tls.Config {
	if c := d.certificateOf(listener); c != nil {
		return c.ClientConfig()
	}
	return nil
}

// IsFor reports whether the certificate is valid for a host. It requires a certificate.
func (d *Doors) IsFor(host string) bool { return d.certificate.CheckHost(host) == nil }

// OwnToken is the token that the processes of one etude send each other.
func (d *Doors) OwnToken() string { return d.own }

func (d *Doors) certificateOf(listener string) *door.Certificate {
	if d.SpeaksTLS(listener) {
		return d.certificate
	}
	return nil
}

// opened records listeners that other machines can reach without TLS or without a token.
func (d *Doors) opened(listener string, addrs []net.Addr) {
	safe := d.SpeaksTLS(listener) && d.WantsToken(listener) || listener == EntryListener
	if !door.IsLoopback(addrs...) && !safe && !slices.Contains(d.exposed, listener) {
		d.exposed = append(d.exposed, listener)
	}
}

// Warn logs one line about the access that other machines have.
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
		log.Warn("other machines can reach these listeners without TLS and without a token; see --tls-cert and --auth-token-file, or listen on localhost", "listeners", strings.Join(bare, ", "))
	case len(clear) > 0:
		log.Warn("tokens for these listeners cross the network unencrypted; see --tls-cert", "listeners", strings.Join(clear, ", "))
	case len(free) > 0:
		log.Warn("other machines can reach these listeners without a token; see --auth-token-file", "listeners", strings.Join(free, ", "))
	}
}

// Guard checks the requests to a read listener. The open paths need no token.
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

// AuthorizeIngest returns the function that checks the Authorization headers of a request with spans, or nil
// when the ingest listeners require no token.
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
