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

// stage is where labs are played: this backend, and processes that it starts.
type stage struct {
	*assert.API
	backend *backendRun
}

// mountLabs adds the routes of the labs. Progress and working copies are kept
// below the data directory. Until the first request nothing is read, unless there
// are labs of a teacher, whose mistakes stop the start.
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

// OpenLabs plays the labs in this backend.
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

// ofTenant puts the spans of labs where the page looks for them.
func (s *stage) ofTenant(ctx context.Context) context.Context {
	if s.backend.cmd.Multitenancy {
		return tenant.With(ctx, tenant.Single)
	}
	return ctx
}

// Endpoint implements [labs.Stage]. With TLS its host is one for which the
// certificate is good; `up` has made sure that there is one.
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

// freshBackend is an ephemeral backend as labs know it, a [labs.Backend].
type freshBackend struct {
	*assert.API
	*Ephemeral
}

// Send implements [labs.Backend].
func (f *freshBackend) Send(ctx context.Context, spans []byte) error {
	_, err := f.stores.Append(ctx, spans)
	return err
}

// otlpEnv is the environment of a process whose spans shall come to this backend:
// what the variables said before does not count.
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
	listenPatience = 20 * time.Second // how long a process of a lab may take until it listens
	stopPatience   = 20 * time.Second // and until it has ended
)

// Start implements [labs.Stage]. The process ends when its standard input does, so
// it never outlives this backend.
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
		_ = r.cmd.Wait() // how it ended is seen in what it printed
		close(r.ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, listenPatience)
	defer cancel()
	select {
	case addr := <-r.listens:
		r.url = "http://" + addr
		return r, nil
	case <-r.ended:
		return nil, fmt.Errorf("it ended before it listened, and said: %s", strings.TrimSpace(r.Output()))
	case <-ctx.Done():
		r.Kill()
		return nil, errors.New("it does not print \"Listening on ADDRESS\"")
	}
}

// labProcess is a running service of a lab. It is the writer of its own output.
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

// maxLabOutput bounds what is kept of a process' output.
const maxLabOutput = 256 << 10

const listeningOn = "Listening on "

// Write keeps the output, and notices where the service listens.
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

// labFlags say which labs there are.
type labFlags struct {
	Labs []string `name:"labs" env:"ETUDE_LABS" placeholder:"DIR" help:"Folders with labs of your own, in addition to etude's; one with the same name replaces etude's. See docs/teaching.md."`
}

func (f *labFlags) load() ([]*labs.Lab, error) {
	places := []fs.FS{labs.Own()}
	for _, dir := range f.Labs {
		places = append(places, os.DirFS(dir))
	}
	return labs.Load(places...)
}
