package door

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"etude/internal/testkit"
)

// hasIPv6 reports whether this machine has the loopback address of IPv6.
func hasIPv6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

func TestListenOnLocalhostIsBoth(t *testing.T) {
	t.Parallel()
	l, err := Listen("localhost:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	want := 1
	if hasIPv6() {
		want = 2
	}
	addrs := l.Addrs()
	if len(addrs) != want || !IsLoopback(addrs...) {
		t.Fatalf("it listens on %s, want %d addresses", l, want)
	}
	for _, addr := range addrs {
		if got, want := addr.(*net.TCPAddr).Port, addrs[0].(*net.TCPAddr).Port; got != want {
			t.Errorf("ports differ: %s", l)
		}
	}
	serveHello(t, l)
	for _, addr := range addrs {
		resp, err := http.Get("http://" + addr.String())
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if string(text) != "hello by HTTP/1.1" {
			t.Errorf("%s: %q", addr, text)
		}
	}
}

func serveHello(t *testing.T, l net.Listener) {
	s := &http.Server{Protocols: new(http.Protocols), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello by ", r.Proto) })}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
}

func TestListenOpensAllOrNone(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if l, err := Listen("127.0.0.2:0,"+taken.Addr().String(), nil); err == nil {
		t.Errorf("it listens on %s, which is taken", l)
	} else if !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("the error does not name the address: %v", err)
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{
		"127.0.0.1:80":              "[{127.0.0.1:80 false}]",
		"localhost:80":              "[{127.0.0.1:80 false} {[::1]:80 true}]",
		":80":                       "[{:80 false}]",
		"10.0.0.1:80, [fd00::1]:81": "[{10.0.0.1:80 false} {[fd00::1]:81 false}]",
		"":                          "",
		"10.0.0.1":                  "",
		"10.0.0.1:80,":              "",
	} {
		addrs, err := Split(list)
		if want == "" && err != nil && strings.Contains(err.Error(), "want HOST:PORT") {
			continue
		}
		if got := fmt.Sprint(addrs); got != want || err != nil {
			t.Errorf("%q: %s, %v, want %s", list, got, err, want)
		}
	}
}

func TestListenerCloses(t *testing.T) {
	t.Parallel()
	l, err := Listen("127.0.0.1:0,127.0.0.2:0", nil)
	if err != nil {
		t.Skip("this system has no 127.0.0.2: ", err)
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept while closing: %v", err)
		}
	})
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	waiting.Wait()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after closing: %v", err)
	}
}

func TestListenWithTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := testkit.Certificate(t, dir, 1, "localhost")
	c, err := LoadCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.pair.now = func() time.Time { now = now.Add(checkEvery); return now }
	l, err := Listen("localhost:0", c)
	if err != nil {
		t.Fatal(err)
	}
	serveHello(t, l)
	port := l.Addr().(*net.TCPAddr).Port
	byFile, err := ClientConfig(certFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range []*tls.Config{byFile, c.ClientConfig()} {
		if got := askTLS(t, config, port); got != "hello by HTTP/2.0" {
			t.Errorf("%q", got)
		}
	}
	if serial(t, l.Addr().String()) != 1 {
		t.Error("another certificate")
	}
	writeFile(t, certFile, "broken")
	if serial(t, l.Addr().String()) != 1 {
		t.Error("a broken file has replaced the certificate")
	}
	testkit.Certificate(t, dir, 2, "localhost")
	if serial(t, l.Addr().String()) != 2 {
		t.Error("the new certificate is not in use")
	}
	if got := askTLS(t, c.ClientConfig(), port); got != "hello by HTTP/2.0" {
		t.Errorf("own connection after the change: %q", got)
	}
	other, _ := testkit.Certificate(t, t.TempDir(), 3, "localhost")
	if config, _ := ClientConfig(other); askTLS(t, config, port) != "" {
		t.Error("a client trusts a certificate that it does not know")
	}
	if c.CheckHost("localhost") != nil || c.CheckHost("127.0.0.1") == nil {
		t.Error("CheckHost: the certificate is for localhost alone")
	}
}

// askTLS returns "" when the connection is refused.
func askTLS(t *testing.T, config *tls.Config, port int) string {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(fmt.Sprintf("https://localhost:%d/", port))
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func serial(t *testing.T, addr string) int64 {
	t.Helper()
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(context.Background(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestClientConfigIsChecked(t *testing.T) {
	t.Parallel()
	if _, err := ClientConfig(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a missing file is no error")
	}
	if _, err := ClientConfig(writeFile(t, filepath.Join(t.TempDir(), "x"), "text")); err == nil {
		t.Error("a file without certificates is no error")
	}
	if _, err := LoadCertificate("missing", "missing", slog.Default()); err == nil {
		t.Error("a missing certificate is no error")
	}
}

// TestUnavailable: only a system without such addresses is forgiven, not a port that
// is taken.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	for err, want := range map[syscall.Errno]bool{syscall.EADDRNOTAVAIL: true, syscall.EAFNOSUPPORT: true, syscall.EADDRINUSE: false, syscall.EACCES: false} {
		if got := Unavailable(&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", err)}); got != want {
			t.Errorf("%v: %v, want %v", err, got, want)
		}
	}
}
