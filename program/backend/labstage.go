package backend

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"etude/assert"
	"etude/labs"
	"etude/program/access"
	"etude/program/listen"
	"etude/program/supervise"
	"etude/tenant"
)

// stage runs labs: it implements [labs.Stage] with this backend and with child processes.
type stage struct {
	*assert.API
	backend *backendRun
}

// mountLabs adds the routes of the labs. It keeps progress and working copies in the data directory. It reads
// the labs at the first request; labs given by --labs it reads now, so that their mistakes stop the start.
func (b *backendRun) mountLabs(mux *http.ServeMux) error {
	if len(b.cmd.Labs) > 0 {
		if _, err := b.cmd.labFlags.load(); err != nil {
			return err
		}
	}
	open := sync.OnceValues(func() (http.Handler, error) {
		engine, err := b.OpenLabs()
		if err != nil {
			return nil, err
		}
		return labs.Handler(engine), nil
	})
	answer := func(w http.ResponseWriter, r *http.Request) {
		handler, err := open()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		handler.ServeHTTP(w, r)
	}
	mux.HandleFunc("/api/etude/labs", answer)
	mux.HandleFunc("/api/etude/labs/", answer)
	return nil
}

// OpenLabs returns an engine that runs the labs in this backend.
func (b *backendRun) OpenLabs() (*labs.Engine, error) {
	all, err := b.cmd.labFlags.load()
	if err != nil {
		return nil, err
	}
	return labs.NewEngine(all, &stage{assert.InProcess(b.cmd.ofPageTenant(b.api)), b}, filepath.Join(b.dir, "labs"))
}

// Send implements [labs.Stage].
func (s *stage) Send(ctx context.Context, spans []byte) error {
	_, err := s.backend.stores.Append(s.ofTenant(ctx), spans)
	return err
}

// ofTenant sets the tenant whose spans the page shows.
func (s *stage) ofTenant(ctx context.Context) context.Context {
	if s.backend.cmd.Multitenancy {
		return tenant.With(ctx, tenant.Single)
	}
	return ctx
}

// Endpoint implements [labs.Stage]. With TLS, its host is one that the certificate is valid for; `up` has
// checked that there is one.
func (s *stage) Endpoint() string {
	const listener = "otlp-grpc"
	address := listen.DialAddr(s.backend.receive.Addrs().OTLPGRPC)
	host, port, _ := net.SplitHostPort(address)
	if s.backend.cmd.SpeaksTLS(listener) && !s.backend.doors.IsFor(host) {
		address = net.JoinHostPort("localhost", port)
	}
	return s.backend.cmd.Scheme(listener) + "://" + address
}

// Fresh implements [labs.Stage].
func (s *stage) Fresh() (labs.Backend, error) {
	e, err := StartEphemeral(s.backend.build, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return &freshBackend{e.Source, e}, nil
}

// freshBackend is an ephemeral backend in the form that labs use, [labs.Backend].
type freshBackend struct {
	*assert.API
	*Ephemeral
}

// Send implements [labs.Backend].
func (f *freshBackend) Send(ctx context.Context, spans []byte) error {
	_, err := f.stores.Append(ctx, spans)
	return err
}

// otlpEnv returns the environment of a process that sends its spans to this backend. It removes the variables
// that would change this.
func (s *stage) otlpEnv() (env []string) {
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "OTEL_") && !strings.HasPrefix(kv, "ETUDE_MOCK_") && !strings.HasPrefix(kv, "ETUDE_SPAN_") {
			env = append(env, kv)
		}
	}
	env = append(env, "ETUDE_LISTEN_ADDR=127.0.0.1:0", "OTEL_EXPORTER_OTLP_ENDPOINT="+s.Endpoint())
	c := s.backend.cmd
	if c.SpeaksTLS("otlp-grpc") {
		env = append(env, access.OTLPCertificateEnv+"="+cmp.Or(c.CAFile, c.TLSCert))
	}
	var headers []string
	if c.Multitenancy {
		headers = append(headers, strings.ToLower(tenant.Header)+"="+tenant.Single)
	}
	if token := os.Getenv(access.OwnTokenEnv); token != "" && c.WantsToken("otlp-grpc") {
		headers = append(headers, "authorization=Bearer%20"+token)
	}
	if len(headers) > 0 {
		env = append(env, access.OTLPHeadersEnv+"="+strings.Join(headers, ","))
	}
	return env
}

const (
	listenPatience = 20 * time.Second // time a process of a lab may take to listen
	stopPatience   = 20 * time.Second // time it may take to exit
)

// Start implements [labs.Stage]. The process exits when its standard input ends, so it cannot outlive this
// backend.
func (s *stage) Start(ctx context.Context, command labs.Command) (labs.Running, error) {
	program := command.Program
	if program == "" {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("find own program: %w", err)
		}
	}
	r := &labProcess{cmd: exec.Command(program, command.Service), ended: make(chan struct{}), listens: make(chan string, 1)}
	r.cmd.Env = append(s.otlpEnv(), command.Env...)
	r.cmd.Stdout, r.cmd.Stderr = r, r
	stdin, err := supervise.PrepareChild(r.cmd)
	if err != nil {
		return nil, err
	}
	r.stdin = stdin
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = r.cmd.Wait() // the output shows how it ended
		close(r.ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, listenPatience)
	defer cancel()
	select {
	case addr := <-r.listens:
		r.url = "http://" + addr
		return r, nil
	case <-r.ended:
		return nil, fmt.Errorf("it exited before it listened; its output: %s", strings.TrimSpace(r.Output()))
	case <-ctx.Done():
		r.Kill()
		return nil, errors.New("it does not print \"Listening on ADDRESS\"")
	}
}

// labProcess is a running service of a lab. It is also the writer of the process' output.
type labProcess struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	url     string
	ended   chan struct{}
	listens chan string

	mu     sync.Mutex
	output bytes.Buffer
	told   bool // listens has the address
}

// maxLabOutput limits the output kept of one process.
const maxLabOutput = 256 << 10

const listeningOn = "Listening on "

// Write keeps the output, and finds the address that the service prints.
func (r *labProcess) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.output.Len()+len(p) <= maxLabOutput {
		r.output.Write(p)
	}
	if r.told {
		return len(p), nil
	}
	if _, after, ok := strings.Cut(r.output.String(), listeningOn); ok {
		if addr, _, whole := strings.Cut(after, "\n"); whole {
			r.listens <- strings.TrimSpace(addr)
			r.told = true
		}
	}
	return len(p), nil
}

// URL implements [labs.Running].
func (r *labProcess) URL() string { return r.url }

// Output implements [labs.Running].
func (r *labProcess) Output() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.output.String()
}

// Stop implements [labs.Running].
func (r *labProcess) Stop() {
	_ = r.stdin.Close()
	select {
	case <-r.ended:
	case <-time.After(stopPatience):
		r.Kill()
	}
}

// Kill implements [labs.Running].
func (r *labProcess) Kill() {
	_ = r.cmd.Process.Kill() // it may have ended
	<-r.ended
}

// labFlags choose the labs.
type labFlags struct {
	Labs []string `name:"labs" env:"ETUDE_LABS" placeholder:"DIR" help:"Directories with your own labs, in addition to the built-in ones; a lab with the name of a built-in one replaces it. See docs/teaching.md."`
}

func (f *labFlags) load() ([]*labs.Lab, error) {
	places := []fs.FS{labs.Own()}
	for _, dir := range f.Labs {
		places = append(places, os.DirFS(dir))
	}
	return labs.Load(places...)
}
