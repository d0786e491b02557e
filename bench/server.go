package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// server is a backend that a measurement starts and stops. Its CPU, memory and data are measured as for any
// other process.
type server struct {
	api   *apiClient
	otlp  string        // address of OTLP over gRPC
	ready time.Duration // from the start of the process

	cmd  *exec.Cmd
	said bytes.Buffer
	done chan error
}

// start starts the backend on free ports and waits until it is ready.
func (o *BlocksOptions) start(ctx context.Context, more []string) (*server, error) {
	if len(o.Server) == 0 {
		return nil, errors.New("no command that starts a backend")
	}
	api, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &server{done: make(chan error, 1)}
	if s.otlp, err = freePort(); err != nil {
		return nil, err
	}
	args := append(append([]string{}, o.Server[1:]...), "--data-dir", o.Dir, "--api-addr", api, "--otlp-grpc-addr", s.otlp)
	for _, listener := range [...]string{"otlp-http", "jaeger", "jaeger-grpc", "zipkin", "page", "prometheus"} {
		args = append(args, "--"+listener+"-addr", "127.0.0.1:0")
	}
	s.cmd = exec.Command(o.Server[0], append(args, more...)...) //nolint:gosec // the caller's own program
	s.cmd.Stdout, s.cmd.Stderr = &s.said, &s.said
	begin := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a backend: %w", err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	if err := s.await(ctx, api, begin, o.Timeout); err != nil {
		return nil, errors.Join(err, s.stop(o.Timeout))
	}
	s.api, err = newAPIClient(ctx, "http://"+api, Access{}, o.Timeout)
	if err != nil {
		return nil, errors.Join(err, s.stop(o.Timeout))
	}
	return s, nil
}

// freePort returns an address that is free at the moment.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// await polls until the backend is ready.
func (s *server) await(ctx context.Context, api string, begin time.Time, timeout time.Duration) error {
	client := localClient(1, Access{})
	client.Timeout = timeout
	defer client.CloseIdleConnections()
	for {
		if resp, err := client.Get("http://" + api + "/ready"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				s.ready = time.Since(begin)
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-s.done:
			s.done <- err
			return fmt.Errorf("the backend exited before it was ready: %w\n%s", err, &s.said)
		case <-time.After(2 * time.Millisecond):
		}
		if time.Since(begin) > timeout {
			return fmt.Errorf("the backend is not ready after %s", timeout)
		}
	}
}

// stop stops the backend. It kills it after the timeout.
func (s *server) stop(timeout time.Duration) error {
	if s.cmd.Process.Signal(os.Interrupt) != nil {
		_ = s.cmd.Process.Kill() // it has exited, or this system has no interrupt
	}
	select {
	case <-s.done:
		return nil
	case <-time.After(timeout):
		_ = s.cmd.Process.Kill()
		<-s.done
		return fmt.Errorf("the backend was still running %s after it was asked to stop", timeout)
	}
}

// use is the resources that the backend has used; zero on systems that cannot measure them.
func (s *server) use() usage {
	u, _ := probe{pid: s.cmd.Process.Pid}.read()
	return u
}

// ask sends a query once and records the result. An answer with an error status is no error here.
func (s *server) ask(ctx context.Context, q *QueryResult) (time.Duration, error) {
	begin := time.Now()
	status, body, err := s.api.get(ctx, q.path(&QueryOptions{Limit: 20, Last: history}, begin))
	took := time.Since(begin)
	q.book(took, status, body, err)
	return took, ctx.Err()
}

// held is the contents of a backend's store.
type held struct{ spans, inBlocks, blocks, bytes int64 }

// gauges reads the backend's own metrics.
func (s *server) gauges(ctx context.Context) (h held, err error) {
	status, body, err := s.api.get(ctx, "/metrics")
	if err != nil {
		return h, err
	}
	if status != http.StatusOK {
		return h, fmt.Errorf("/metrics: HTTP %d", status)
	}
	names := map[string]*int64{"etude_store_spans": &h.spans, "etude_store_block_spans": &h.inBlocks,
		"etude_store_blocks": &h.blocks, "etude_store_block_bytes": &h.bytes}
	for line := range strings.Lines(string(body)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		into := names[name]
		if into == nil {
			continue
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return h, fmt.Errorf("/metrics: %s: %w", name, err)
		}
		*into = int64(v)
	}
	return h, nil
}

// filesNamed sums the sizes of all files with a name below a directory.
func filesNamed(dir, name string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != name {
			return err
		}
		info, err := d.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
