package door

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
)

// Listener is one net.Listener over a list of addresses. With a single address it accepts directly. With
// several, one goroutine per address accepts and passes connections to Accept.
type Listener struct {
	parts    []net.Listener
	accepted chan accepted
	closed   chan struct{}
	close    sync.Once
}

type accepted struct {
	conn net.Conn
	err  error
}

// Split parses a list of addresses: HOST:PORT, separated by commas. The host localhost means 127.0.0.1 and
// [::1]. The second is optional, because not every system has IPv6.
func Split(list string) (addrs []Addr, err error) {
	for text := range strings.SplitSeq(list, ",") {
		host, port, err := net.SplitHostPort(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("address %q: want HOST:PORT, or several of them separated by commas", text)
		}
		if host == "localhost" {
			addrs = append(addrs, Addr{net.JoinHostPort("127.0.0.1", port), false}, Addr{net.JoinHostPort("::1", port), true})
			continue
		}
		addrs = append(addrs, Addr{net.JoinHostPort(host, port), false})
	}
	return addrs, nil
}

// Addr is one address to listen on.
type Addr struct {
	Text     string // HOST:PORT
	Optional bool   // skipped when the system has no such address
}

// portTries limits the search for a port that is free on all addresses.
const portTries = 20

// Listen opens every address of a list, or none, and joins them. Port 0 means one free port, which all
// addresses with port 0 share. With a certificate, connections use TLS.
func Listen(list string, c *Certificate) (*Listener, error) {
	parts, err := ListenEach(list, c)
	if err != nil {
		return nil, err
	}
	l := &Listener{parts: parts, accepted: make(chan accepted), closed: make(chan struct{})}
	if len(parts) > 1 {
		for _, part := range parts {
			go l.acceptFrom(part)
		}
	}
	return l, nil
}

// ListenEach is Listen for a server that accepts from several listeners itself.
func ListenEach(list string, c *Certificate) ([]net.Listener, error) {
	addrs, err := Split(list)
	if err != nil {
		return nil, err
	}
	parts, err := listenAll(addrs)
	for try := 1; err != nil && try < portTries && strings.HasSuffix(list, ":0") && errors.Is(err, syscall.EADDRINUSE); try++ {
		parts, err = listenAll(addrs)
	}
	if err != nil {
		return nil, err
	}
	for i := range parts {
		if c != nil {
			parts[i] = tls.NewListener(parts[i], c.ServerConfig())
		}
	}
	return parts, nil
}

func listenAll(addrs []Addr) (parts []net.Listener, err error) {
	chosen := "0"
	for _, addr := range addrs {
		host, port, _ := net.SplitHostPort(addr.Text)
		if port == "0" {
			port = chosen
		}
		part, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err != nil && addr.Optional && Unavailable(err) {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, closeAll(parts))
		}
		parts = append(parts, part)
		if port == "0" {
			_, chosen, _ = net.SplitHostPort(part.Addr().String())
		}
	}
	return parts, nil
}

// Unavailable reports whether the error means that the system has no address of this kind.
func Unavailable(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EPROTONOSUPPORT) ||
		errors.Is(err, wsaeAddrNotAvail) || errors.Is(err, wsaeAFNoSupport)
}

// Windows has its own numbers.
const (
	wsaeAFNoSupport  = syscall.Errno(10047)
	wsaeAddrNotAvail = syscall.Errno(10049)
)

func closeAll(parts []net.Listener) error {
	var errs []error
	for _, part := range parts {
		errs = append(errs, part.Close())
	}
	return errors.Join(errs...)
}

// acceptFrom passes on the connections and errors of one address, until that address is closed.
func (l *Listener) acceptFrom(part net.Listener) {
	for {
		conn, err := part.Accept()
		select {
		case l.accepted <- accepted{conn, err}:
		case <-l.closed:
			if conn != nil {
				_ = conn.Close()
			}
			return
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	if len(l.parts) == 1 {
		return l.parts[0].Accept()
	}
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It also closes a connection that no caller has accepted yet.
func (l *Listener) Close() error {
	err := error(net.ErrClosed)
	l.close.Do(func() {
		close(l.closed)
		err = closeAll(l.parts)
	})
	return err
}

// Addr implements net.Listener. It returns the first address.
func (l *Listener) Addr() net.Addr { return l.parts[0].Addr() }

// Addrs returns every bound address.
func (l *Listener) Addrs() (addrs []net.Addr) {
	for _, part := range l.parts {
		addrs = append(addrs, part.Addr())
	}
	return addrs
}

// String is the list of bound addresses, in the form that Split parses.
func (l *Listener) String() string {
	var texts []string
	for _, addr := range l.Addrs() {
		texts = append(texts, addr.String())
	}
	return strings.Join(texts, ",")
}
