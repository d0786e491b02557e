package program

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"etude/program/listen"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"etude/internal/testkit"
)

// TestHostileIngest sends what a careless client or an attacker may send, to the
// real program, and looks at what it costs: an honest client is served throughout,
// and the memory stays near the limits that are named.
func TestHostileIngest(t *testing.T) {
	testkit.Hostile(t)
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("reads the memory of a process from /proc")
	}
	const inFlight = 64 << 20
	offset := freeOffset(t)
	grpcAddr, httpAddr := fmt.Sprintf("127.0.0.1:%d", listen.PortOTLPGRPC+offset), fmt.Sprintf("127.0.0.1:%d", listen.PortOTLPHTTP+offset)
	p := start(t, nil, "backend", "--data-dir", t.TempDir(), "--metrics.off", "--max-in-flight", "64MiB", "--head-max-bytes", "64MiB", "--port-offset", fmt.Sprint(offset))
	p.says("backend is ready")
	base := residentPeak(t, p)

	honest := func(after string) {
		t.Helper()
		conn, err := grpc.NewClient(grpcAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := collector.NewTraceServiceClient(conn).Export(t.Context(), &collector.ExportTraceServiceRequest{}); err != nil {
			t.Errorf("an honest client after %s: %v", after, err)
		}
	}
	for _, attack := range []struct {
		name string
		do   func(t *testing.T)
		most int64 // bytes more than at the start
	}{
		{"1,500 idle connections", func(t *testing.T) { idleConnections(t, grpcAddr, 1500) }, 64 << 20},
		{"800 half-sent calls", func(t *testing.T) { halfSent(t, grpcAddr, 4, 200, 100) }, 128 << 20},
		{"half-sent calls of 1 MiB each", func(t *testing.T) { halfSent(t, grpcAddr, 8, 100, 1<<20) }, 5 * inFlight},
		{"half-sent bodies", func(t *testing.T) { halfBodies(t, httpAddr, 300, 2<<20) }, 5 * inFlight},
		{"50 bombs by HTTP", func(t *testing.T) { bombs(t, httpAddr, 50) }, 5 * inFlight},
		{"unread answers", func(t *testing.T) { unread(t, grpcAddr, 8) }, 5 * inFlight},
	} {
		t.Run(attack.name, func(t *testing.T) { attack.do(t) })
		honest(attack.name)
		peak := residentPeak(t, p)
		t.Logf("after %s: %d MiB at the peak, %d at the start", attack.name, peak>>20, base>>20)
		if peak-base > attack.most {
			t.Errorf("after %s the peak is %d MiB, %d at the start", attack.name, peak>>20, base>>20)
		}
	}
}

var peakLine = regexp.MustCompile(`VmHWM:\s*(\d+) kB`)

func residentPeak(t *testing.T, p *process) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	m := peakLine.FindSubmatch(status)
	if err != nil || m == nil {
		t.Fatalf("read the memory of the process: %v\n%s", err, p.out)
	}
	kb, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return kb << 10
}

func dialRaw(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

func idleConnections(t *testing.T, addr string, n int) {
	for range n {
		dialRaw(t, addr)
	}
}

// frames is an HTTP/2 client that writes frames and reads nothing.
func frames(t *testing.T, addr string) (net.Conn, *http2.Framer, func(id uint32) []byte) {
	c := dialRaw(t, addr)
	fr := http2.NewFramer(c, nil)
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	_, _ = io.WriteString(c, http2.ClientPreface)
	_ = fr.WriteSettings()
	return c, fr, func(uint32) []byte {
		block.Reset()
		for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"},
			{":authority", "x"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
			_ = enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		return block.Bytes()
	}
}

func halfSent(t *testing.T, addr string, conns, calls, size int) {
	var all sync.WaitGroup
	for range conns {
		_, fr, head := frames(t, addr)
		all.Go(func() {
			half := make([]byte, 16<<10)
			for i := range calls {
				id := uint32(2*i + 1)
				if fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head(id), EndHeaders: true}) != nil {
					return // cut
				}
				first := []byte{0, 1, 0, 0, 0} // of 16 MiB
				for sent := 0; sent < size; sent += len(half) {
					if fr.WriteData(id, false, append(first, half[:min(len(half)-5, size-sent)]...)) != nil {
						return
					}
					first = nil
				}
			}
		})
	}
	all.Wait()
}

func halfBodies(t *testing.T, addr string, conns, size int) {
	body := make([]byte, size)
	for range conns {
		c := dialRaw(t, addr)
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = fmt.Fprintf(c, "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n%s", 10*size, body)
	}
}

func bombs(t *testing.T, addr string, n int) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for bomb.Len() < 1<<20 {
		_, _ = z.Write(zeros)
	}
	_ = z.Close()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			r, err := http.NewRequest(http.MethodPost, "http://"+addr+"/v1/traces", bytes.NewReader(bomb.Bytes()))
			if err != nil {
				t.Error(err)
				return
			}
			r.Header.Set("Content-Type", "application/x-protobuf")
			r.Header.Set("Content-Encoding", "gzip")
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			res.Body.Close()
			if res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusTooManyRequests {
				t.Errorf("a bomb is answered %d", res.StatusCode)
			}
		})
	}
	all.Wait()
}

// unread sends calls, whole ones, until the server does not take any more or cuts
// the connection.
func unread(t *testing.T, addr string, conns int) {
	var all sync.WaitGroup
	for range conns {
		c, fr, head := frames(t, addr)
		all.Go(func() {
			sent := 0
			for i := range 2_000_000 {
				id := uint32(2*i + 1)
				_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second))
				if fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: head(id), EndHeaders: true}) != nil ||
					fr.WriteData(id, true, []byte{0, 0, 0, 0, 0}) != nil {
					break
				}
				sent++
			}
			t.Logf("%d calls were sent", sent)
		})
	}
	all.Wait()
}
