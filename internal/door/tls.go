package door

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
)

// Certificate is this server's certificate and key. When its files change, new connections get the new
// certificate.
type Certificate struct{ pair *reloaded[*tls.Certificate] }

// LoadCertificate reads a certificate with its chain, and its key, both as PEM.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	pair, err := newReloaded(log, func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		return &pair, err
	}, certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate and key: %w", err)
	}
	return &Certificate{pair}, nil
}

// ServerConfig offers HTTP/2 and HTTP/1.1 by ALPN.
func (c *Certificate) ServerConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.get(), nil },
	}
}

// ClientConfig is for connections of this program to itself: it accepts only the server's own certificate,
// under any name.
func (c *Certificate) ClientConfig() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection is stricter
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 || !bytes.Equal(state.PeerCertificates[0].Raw, c.pair.get().Certificate[0]) {
				return errors.New("the server's certificate is not the one in the file")
			}
			return nil
		},
	}
}

// CheckHost returns nil if clients that trust the certificate accept it for a host.
func (c *Certificate) CheckHost(host string) error {
	return c.pair.get().Leaf.VerifyHostname(host)
}

// ClientConfig returns the TLS settings of clients. They trust the system's certificates and those in a PEM
// file, if given.
func ClientConfig(caFile string) (*tls.Config, error) {
	if caFile == "" {
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("read trusted certificates: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil { // a system without certificates
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read trusted certificates: %s contains no PEM certificate", caFile)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, nil
}
