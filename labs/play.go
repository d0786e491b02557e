package labs

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"net/http"
	"strings"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"

	"etude/labs/scenario"
)

// draw sends a drawing of a lab's folder. Every resource gets the run's name.
func draw(ctx context.Context, send func(context.Context, []byte) error, files fs.FS, name string, v vars) error {
	text, err := fs.ReadFile(files, name)
	if err != nil {
		return err
	}
	var seed [16]byte
	_, _ = rand.Read(seed[:]) // it never fails
	drawn, err := scenario.Draw(string(text), scenario.Options{Now: time.Now(),
		Rand: mathrand.New(mathrand.NewPCG(binary.BigEndian.Uint64(seed[:8]), binary.BigEndian.Uint64(seed[8:])))})
	if err != nil {
		return fmt.Errorf("draw %s: %w", name, err)
	}
	for _, rs := range drawn.Data.ResourceSpans {
		rs.Resource.Attributes = append(rs.Resource.Attributes,
			&commonpb.KeyValue{Key: "lab", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: v["run"]}}})
	}
	for label, id := range drawn.Traces {
		v["trace."+label] = id
	}
	for label, id := range drawn.Spans {
		v["span."+label] = id
	}
	payload, err := proto.Marshal(drawn.Data)
	if err != nil {
		return fmt.Errorf("draw %s: %w", name, err)
	}
	if err := send(ctx, payload); err != nil {
		return fmt.Errorf("send the spans of %s: %w", name, err)
	}
	return nil
}

// requestPatience is the maximum time of one request of a lab.
const requestPatience = 20 * time.Second

// run starts the processes in order, sends each its requests, and stops them all. A process comes before its
// callers.
func run(ctx context.Context, stage Stage, program string, processes []Process, v vars) (err error) {
	running := map[string]Running{}
	var started []Running
	defer func() {
		for i := len(started) - 1; i >= 0; i-- { // callers first
			started[i].Stop()
		}
	}()
	for i := range processes {
		p := &processes[i]
		r, err := stage.Start(ctx, Command{Program: program, Service: p.Service, Env: p.env(v, running)})
		if err != nil {
			return fmt.Errorf("start %s: %w", p.label(), err)
		}
		running[p.label()], started = r, append(started, r)
	}
	for i := range processes {
		p := &processes[i]
		for range p.Requests {
			if err := request(ctx, running[p.label()].URL(), v, p.Headers); err != nil {
				return fmt.Errorf("call %s: %w", p.label(), err)
			}
		}
		if p.Kill {
			running[p.label()].Kill()
		}
	}
	for label, r := range running {
		v["log."+label] = lastRequest(r.Output())
	}
	return nil
}

// env returns the variables of a process: those of the lab, the run's name, and the URL of the process that it
// calls.
func (p *Process) env(v vars, running map[string]Running) (env []string) {
	attributes := "lab=" + v["run"]
	for _, key := range sorted(p.Env) {
		if key == "OTEL_RESOURCE_ATTRIBUTES" {
			attributes += "," + p.Env[key]
			continue
		}
		env = append(env, key+"="+p.Env[key])
	}
	if next := running[p.Next]; next != nil {
		env = append(env, "ETUDE_NEXT_URL="+next.URL()+"/")
	}
	return append(env, "OTEL_RESOURCE_ATTRIBUTES="+attributes)
}

func request(ctx context.Context, url string, v vars, headers map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/", nil)
	if err != nil {
		return err
	}
	for name, value := range headers {
		req.Header.Set(name, v.fill(value))
	}
	// Its own connection, so that none stays open to a process that ends.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20))
	return err
}

var requestBlock = expression(`(?s)Request: \{\n.*?\n\}`)

// lastRequest returns the last request that a service printed.
func lastRequest(output string) string {
	blocks := requestBlock().FindAllString(output, -1)
	if len(blocks) == 0 {
		return "(nothing)"
	}
	return blocks[len(blocks)-1]
}

// newRun makes the name of a run of a lab: its number and four letters.
func newRun(id string) string {
	return id[:2] + "-" + strings.ToLower(rand.Text()[:4])
}

// newID returns a new id of size bytes, in hex; its first digit is not 0.
func newID(size int) string {
	id := make([]byte, size)
	_, _ = rand.Read(id) // it never fails
	id[0] |= 0x10
	return hex.EncodeToString(id)
}

var errNotStarted = errors.New("the lab has not been started: start it first")
