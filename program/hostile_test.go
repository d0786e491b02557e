package program

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"etude/program/listen"

	common "go.opentelemetry.io/proto/otlp/common/v1"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"etude/internal/testkit"
)

// These tests attack the real program through its ports.

// promptly is how soon an honest client is answered while others attack. The bound
// is for a machine that does nothing else; CI machines get five times as much.
func promptly() time.Duration {
	if os.Getenv("CI") != "" {
		return 5 * time.Second
	}
	return time.Second
}

// honest sends a span and searches for it, over and over, until stopped, and
// remembers the slowest answers.
type honest struct {
	t       *testing.T
	b       *backendProcess
	stop    chan struct{}
	done    sync.WaitGroup
	mu      sync.Mutex
	rounds  int
	slowest map[string]time.Duration
	refused map[string]string
}

func beHonest(t *testing.T, b *backendProcess) *honest {
	h := &honest{t: t, b: b, stop: make(chan struct{}), slowest: map[string]time.Duration{}, refused: map[string]string{}}
	h.done.Go(func() {
		for n := uint64(1); ; n++ {
			select {
			case <-h.stop:
				return
			case <-time.After(20 * time.Millisecond): // the pace of an ordinary client
			}
			h.round(n)
		}
	})
	return h
}

func (h *honest) round(n uint64) {
	id := binary.BigEndian.AppendUint64(bytes.Repeat([]byte{0xab}, 8), n)
	h.ask("ingest", func() (*http.Response, error) {
		return visitor.Post(h.b.otlpHTTP+"/v1/traces", "application/x-protobuf", bytes.NewReader(traceOf(id, 1)))
	})
	h.ask("search", func() (*http.Response, error) {
		return visitor.Get(h.b.api + "/api/search?limit=5&q=" + url.QueryEscape(`{name="work"}`))
	})
	h.ask("metrics", func() (*http.Response, error) { return visitor.Get(h.b.api + "/metrics") })
	h.mu.Lock()
	h.rounds++
	h.mu.Unlock()
}

func (h *honest) ask(what string, do func() (*http.Response, error)) {
	began := time.Now()
	resp, err := do()
	text := ""
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		text = resp.Status
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.slowest[what] = max(h.slowest[what], time.Since(began))
	if err != nil || resp.StatusCode != http.StatusOK {
		h.refused[what] = fmt.Sprint(text, err)
	}
}

// served waits for some more rounds, which come after the attack, and checks all.
func (h *honest) served() {
	h.t.Helper()
	count := func() int {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.rounds
	}
	for goal := count() + 10; count() < goal; {
		testkit.Eventually(h.t, "the honest client is served", func() error {
			if n := count(); n < goal {
				return fmt.Errorf("%d rounds of %d", n, goal)
			}
			return nil
		})
	}
	close(h.stop)
	h.done.Wait()
	h.t.Logf("%d rounds, slowest: %v", h.rounds, h.slowest)
	for what, took := range h.slowest {
		if took > promptly() {
			h.t.Errorf("%s took %s while others attacked, want at most %s", what, took, promptly())
		}
	}
	for what, answer := range h.refused {
		h.t.Errorf("an honest %s was refused: %s", what, answer)
	}
}

// TestHostileKeys: spans with more keys than any honest one has, before and after a
// Table rolls, disturb nothing else.
func TestHostileKeys(t *testing.T) {
	testkit.Hostile(t)
	b := startBackend(t, t.TempDir())
	h := beHonest(t, b)
	poison := bytes.Repeat([]byte{0xcd}, 16)
	send := func(payload []byte) {
		t.Helper()
		resp, err := visitor.Post(b.otlpHTTP+"/v1/traces", "application/x-protobuf", bytes.NewReader(payload))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if answer, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", resp.Status, answer)
		}
	}
	send(traceWithKeys(poison, 1, 100_000))
	for batch := range 161 { // 80,500 ordinary spans: a Table rolls
		send(traceOf(binary.BigEndian.AppendUint64(bytes.Repeat([]byte{0xef}, 8), uint64(batch+1)), 500))
	}
	send(traceWithKeys(poison, 2, 300_000))
	for n := range 200 { // ids used as keys
		send(traceWithKeys(binary.BigEndian.AppendUint64(bytes.Repeat([]byte{0xee}, 8), uint64(n+1)), uint64(n+10), 1000))
	}
	eventually(t, "find both spans", func() error {
		data := traceByID(t, b.api, hex.EncodeToString(poison))
		if n := spansOf(data); n != 2 {
			return fmt.Errorf("%d spans", n)
		}
		return nil
	})
	h.served()
	if err := b.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if code := b.ended(); code != 0 {
		t.Errorf("it stops with exit status %d", code)
	}
}

// traceWithKeys is a request with one span of many attributes, each with a key that
// no other span has.
func traceWithKeys(id []byte, span uint64, keys int) []byte {
	s := &tracepb.Span{TraceId: id, SpanId: binary.BigEndian.AppendUint64(nil, span), Name: "many keys",
		StartTimeUnixNano: uint64(time.Now().UnixNano()), EndTimeUnixNano: uint64(time.Now().UnixNano())}
	for i := range keys {
		s.Attributes = append(s.Attributes, &common.KeyValue{Key: fmt.Sprintf("k%d.%d", span, i),
			Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: int64(i)}}})
	}
	b, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{s}}}}}})
	if err != nil {
		panic(err) // a fixed message
	}
	return b
}

// hostileMemory is the --memory of the tests below, and what the process may use.
const hostileMemory = 600 << 20

// TestHostileMemory: bombs, answers that are not read, and a giant trace asked for
// many times at once, leave the process below the memory that it was given.
func TestHostileMemory(t *testing.T) {
	testkit.Hostile(t)
	if runtime.GOOS != "linux" {
		t.Skip("reads /proc")
	}
	for name, attack := range map[string]func(*testing.T, *backendProcess){
		"bombs": func(t *testing.T, b *backendProcess) { dropBombs(t, b, 50) }, "giant trace": askForGiant, "unread answers": leaveUnread,
	} {
		t.Run(name, func(t *testing.T) {
			b := startBackend(t, t.TempDir(), fmt.Sprintf("--memory=%dMiB", hostileMemory>>20))
			h := beHonest(t, b)
			attack(t, b)
			most := b.peakMemory(t)
			t.Logf("peak memory %d MiB of %d", most>>20, hostileMemory>>20)
			if most > hostileMemory {
				t.Errorf("it used %d MiB, and --memory says %d", most>>20, hostileMemory>>20)
			}
			close(h.stop)
			h.done.Wait()
			t.Logf("%d rounds of an honest client, slowest %v, refused %v", h.rounds, h.slowest, h.refused)
			if _, body := get(t, b.api+"/ready"); body != "ready\n" {
				t.Errorf("/ready after the attack: %s", body)
			}
		})
	}
}

// peakMemory is the most memory that the process has had, in bytes.
func (b *backendProcess) peakMemory(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("no VmHWM in %s", text)
	}
	kib, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// dropBombs sends requests of 1 MB that inflate to a gigabyte, all at once.
func dropBombs(t *testing.T, b *backendProcess, bombs int) {
	var bomb bytes.Buffer
	z, _ := gzip.NewWriterLevel(&bomb, gzip.BestCompression)
	zeros := make([]byte, 1<<20)
	for bomb.Len() < 1<<20 {
		if _, err := z.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	_ = z.Close()
	var wg sync.WaitGroup
	for range bombs {
		wg.Go(func() {
			req, err := http.NewRequest(http.MethodPost, b.otlpHTTP+"/v1/traces", bytes.NewReader(bomb.Bytes()))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("Content-Type", "application/x-protobuf")
			req.Header.Set("Content-Encoding", "gzip")
			resp, err := visitor.Do(req)
			if err != nil {
				return // cut: as good as refused
			}
			_ = resp.Body.Close()
			if resp.StatusCode < 400 {
				t.Errorf("a bomb is answered %s", resp.Status)
			}
		})
	}
	wg.Wait()
}

var giantID = bytes.Repeat([]byte{0x77}, 16)

// sendGiant stores one trace of many spans with some text each.
func sendGiant(t *testing.T, b *backendProcess, spans int) {
	t.Helper()
	const batch = 5000
	for from := 0; from < spans; from += batch {
		ss := &tracepb.ScopeSpans{}
		for i := range batch {
			ss.Spans = append(ss.Spans, &tracepb.Span{TraceId: giantID, SpanId: binary.BigEndian.AppendUint64(nil, uint64(from+i+1)), Name: "part of a giant",
				StartTimeUnixNano: uint64(time.Now().UnixNano()), EndTimeUnixNano: uint64(time.Now().UnixNano()),
				Attributes: []*common.KeyValue{{Key: "number", Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: fmt.Sprintf("value of span %d", from+i)}}}}})
		}
		payload, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{ss}}}})
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the giant's spans are taken", func() error {
			if !post(b.otlpHTTP, payload) {
				return fmt.Errorf("refused")
			}
			return nil
		})
	}
}

// askForGiant asks for a giant trace eight times at once, in each form.
func askForGiant(t *testing.T, b *backendProcess) {
	sendGiant(t, b, 400_000)
	var wg sync.WaitGroup
	for range 8 {
		for _, path := range []string{"/api/traces/", "/api/v2/traces/"} {
			wg.Go(func() {
				resp, err := visitor.Get(b.api + path + hex.EncodeToString(giantID))
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			})
		}
	}
	wg.Wait()
}

// leaveUnread asks for large answers on many connections, pipelined, and never
// reads one.
func leaveUnread(t *testing.T, b *backendProcess) {
	sendGiant(t, b, 100_000)
	addr := fmt.Sprintf("127.0.0.1:%d", listen.PortAPI+b.offset)
	request := fmt.Sprintf("GET /api/v2/traces/%s HTTP/1.1\r\nHost: localhost\r\n\r\n", hex.EncodeToString(giantID))
	for range 100 {
		conn, err := net.DialTimeout("tcp", addr, patience)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		for range 20 {
			if _, err := io.WriteString(conn, request); err != nil {
				break // it has stopped reading, which is right
			}
		}
	}
	// As many answers as are going to be made are being made when one more reader,
	// who does read, has had his.
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET /status/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil {
		t.Error(err)
	}
}
