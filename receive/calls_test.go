package receive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// script is what a gRPC client sends.
type script struct {
	bytes.Buffer
	fr  *http2.Framer
	enc *hpack.Encoder
	blk bytes.Buffer
}

func newScript(settings ...http2.Setting) *script {
	s := new(script)
	s.fr = http2.NewFramer(&s.Buffer, nil)
	s.fr.AllowIllegalWrites = true
	s.enc = hpack.NewEncoder(&s.blk)
	s.WriteString(http2.ClientPreface)
	s.do(s.fr.WriteSettings(settings...))
	return s
}

func (s *script) do(err error) *script {
	if err != nil {
		panic(err)
	}
	return s
}

// block encodes the head of a call. Fields come in pairs and stand for those of
// their name; an empty value leaves a field out; a name with a + is added.
func (s *script) block(path string, fields ...string) []byte {
	s.blk.Reset()
	all := []string{":method", "POST", ":scheme", "http", ":path", path, ":authority", "localhost:4317", "content-type", "application/grpc", "te", "trailers", "user-agent", "grpc-go/1.80"}
	for i := 0; i < len(fields); i += 2 {
		at := slices.Index(all, fields[i])
		if name, add := strings.CutPrefix(fields[i], "+"); add || at < 0 {
			all = append(all, name, fields[i+1])
			continue
		}
		all[at+1] = fields[i+1]
	}
	for i := 0; i < len(all); i += 2 {
		if all[i+1] != "" {
			s.do(s.enc.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]}))
		}
	}
	return s.blk.Bytes()
}

func (s *script) head(id uint32, ends bool, path string, fields ...string) *script {
	b := s.block(path, fields...)
	n := min(len(b), maxFrame)
	s.do(s.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b[:n], EndHeaders: n == len(b), EndStream: ends}))
	for b = b[n:]; len(b) > 0; b = b[n:] {
		n = min(len(b), maxFrame)
		s.do(s.fr.WriteContinuation(id, n == len(b), b[:n]))
	}
	return s
}

func (s *script) data(id uint32, ends bool, b []byte) *script {
	for len(b) > maxFrame {
		s.do(s.fr.WriteData(id, false, b[:maxFrame]))
		b = b[maxFrame:]
	}
	return s.do(s.fr.WriteData(id, ends, b))
}

const exportPath = "/" + traceService + "/Export"

// call is a whole call.
func (s *script) call(id uint32, message []byte, fields ...string) *script {
	return s.head(id, false, exportPath, fields...).data(id, true, message)
}

// prefixed is a message as gRPC sends it.
func prefixed(flag byte, b []byte) []byte {
	n := len(b)
	return append([]byte{flag, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, b...)
}

// hear reads frames until want streams have ended, or the connection.
func hear(t *testing.T, r io.Reader, want int) string {
	t.Helper()
	fr := http2.NewFramer(io.Discard, r)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	said := map[uint32]*strings.Builder{}
	on := func(id uint32, format string, args ...any) {
		if said[id] == nil {
			said[id] = new(strings.Builder)
		}
		fmt.Fprintf(said[id], format, args...)
	}
	ended := map[uint32]bool{}
	tail := "open"
	for len(ended) < want {
		f, err := fr.ReadFrame()
		if err != nil {
			tail += " end"
			break
		}
		id := f.Header().StreamID
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			for _, h := range f.Fields {
				if h.Value != "" && h.Name != "grpc-encoding" { // grpc-go says them to no effect
					on(id, " %s=%s", h.Name, h.Value)
				}
			}
			on(id, ";")
		case *http2.DataFrame:
			on(id, "%x", f.Data())
		case *http2.RSTStreamFrame:
			if f.ErrCode != http2.ErrCodeNo { // that one comes after the end
				on(id, " reset %v", f.ErrCode)
				ended[id] = true
			}
		case *http2.PingFrame:
			on(id, " ping %v %q", f.IsAck(), f.Data)
		case *http2.GoAwayFrame:
			tail = fmt.Sprintf("go away %v,", f.ErrCode)
		}
		if f.Header().Flags.Has(http2.FlagDataEndStream) && f.Header().Type <= http2.FrameHeaders {
			ended[id] = true
		}
	}
	var all strings.Builder
	for id := range uint32(1000) {
		if b := said[id]; b != nil {
			fmt.Fprintf(&all, "%d:%s\n", id, b)
		}
	}
	if tail != "open" { // what was answered before is by chance
		return tail
	}
	return all.String()
}

// TestCallsAnswerLikeGRPC sends the same frames to both ways, whole and in pieces,
// and wants the same answers, the same spans stored and the same counts.
func TestCallsAnswerLikeGRPC(t *testing.T) {
	t.Parallel()
	small, large := prefixed(0, marshal(t, request(2))), prefixed(0, marshal(t, request(2500)))
	zipped := prefixed(1, compressed(t, marshal(t, request(3)), gzipWriter))
	over := fmt.Errorf("stop: %w", retryLater{errors.New("too much")})
	raw := func(s *script, kind http2.FrameType, flags http2.Flags, id uint32, payload string) *script {
		return s.do(s.fr.WriteRawFrame(kind, flags, id, []byte(payload)))
	}
	for name, test := range map[string]struct {
		send   *script
		want   int // streams that end
		answer error
		limits Limits
		code   http2.ErrCode // when it ends the connection
	}{
		"one":                     {send: newScript().call(1, small), want: 1},
		"three":                   {send: newScript().call(1, small).call(3, small).call(9, small), want: 3},
		"large":                   {send: newScript().call(1, large), want: 1},
		"mixed":                   {send: newScript().head(1, false, exportPath).head(3, false, exportPath).data(3, false, small[:3]).data(1, false, small[:40]).data(3, true, small[3:]).data(1, true, small[40:]), want: 2},
		"empty data between":      {send: newScript().head(1, false, exportPath).data(1, false, nil).data(1, false, small).data(1, true, nil), want: 1},
		"no spans":                {send: newScript().call(1, prefixed(0, nil)), want: 1},
		"subtype":                 {send: newScript().call(1, small, "content-type", "application/grpc+proto").call(3, small), want: 2},
		"parameter":               {send: newScript().call(1, small, "content-type", "application/grpc;x=y"), want: 1},
		"no message":              {send: newScript().head(1, false, exportPath).data(1, true, nil), want: 1},
		"nothing":                 {send: newScript().head(1, true, exportPath), want: 1},
		"cut in prefix":           {send: newScript().call(1, small[:3]), want: 1},
		"cut in message":          {send: newScript().call(1, small[:30]), want: 1},
		"two messages":            {send: newScript().call(1, append(slices.Clip(small), small...)), want: 1},
		"too large":               {send: newScript().call(1, small).head(3, false, exportPath).data(3, false, large[:20]), want: 2, limits: Limits{Decompressed: 2000}},
		"at the limit":            {send: newScript().call(1, small), want: 1, limits: Limits{Decompressed: int64(len(small) - 5)}},
		"not protobuf":            {send: newScript().call(1, prefixed(0, []byte("hello"))).call(3, small), want: 2},
		"too many spans":          {send: newScript().call(1, small).call(3, small), want: 2, limits: Limits{Spans: 1}},
		"no room":                 {send: newScript().call(1, small), want: 1, limits: Limits{InFlight: 100}},
		"gzip":                    {send: newScript().call(1, zipped, "grpc-encoding", "gzip"), want: 1},
		"gzip not used":           {send: newScript().call(1, small, "grpc-encoding", "gzip"), want: 1},
		"gzip that is not":        {send: newScript().call(1, prefixed(1, []byte("hello")), "grpc-encoding", "gzip"), want: 1},
		"gzip cut short":          {send: newScript().call(1, prefixed(1, zipped[5:40]), "grpc-encoding", "gzip"), want: 1},
		"too large when unpacked": {send: newScript().call(1, zipped, "grpc-encoding", "gzip"), want: 1, limits: Limits{Decompressed: 800}},
		"not said":                {send: newScript().call(1, zipped), want: 1},
		"identity":                {send: newScript().call(1, zipped, "grpc-encoding", "identity").call(3, small, "grpc-encoding", "identity"), want: 2},
		"unknown encoding":        {send: newScript().call(1, zipped, "grpc-encoding", "br\"%ä"), want: 1},
		"unknown flag":            {send: newScript().call(1, prefixed(2, small)), want: 1},
		"Jaeger":                  {send: newScript().call(1, small).head(3, false, "/"+jaegerCollection+"/PostSpans").data(3, true, prefixed(0, []byte("hello"))), want: 2},
		"health":                  {send: newScript().call(1, small).head(3, false, healthCheck).data(3, true, prefixed(0, nil)), want: 2},
		"health of another":       {send: newScript().call(1, small).head(3, false, healthCheck).data(3, true, prefixed(0, []byte("\x0a\x01a"))), want: 2},
		"unknown method":          {send: newScript().head(1, false, "/"+traceService+"/Import").data(1, true, small), want: 1},
		"unknown service":         {send: newScript().head(1, true, "/a/b"), want: 1},
		"unknown service, open":   {send: newScript().head(1, false, "/a/b"), want: 1},
		"no service":              {send: newScript().head(1, true, "/a"), want: 1},
		"no slash":                {send: newScript().head(1, true, "a/b"), want: 1},
		"long name":               {send: newScript().head(1, true, "/"+strings.Repeat("ä", 9000)+"/b"), want: 1},
		"get":                     {send: newScript().head(1, true, exportPath, ":method", "GET"), want: 1},
		"web form":                {send: newScript().head(1, true, exportPath, "content-type", "text/plain"), want: 1},
		"near gRPC":               {send: newScript().head(1, true, exportPath, "content-type", "application/grpc-web"), want: 1},
		"no content type":         {send: newScript().head(1, false, exportPath, "content-type", ""), want: 1},
		"timeout":                 {send: newScript().call(1, small, "grpc-timeout", "9999999u").call(3, small, "grpc-timeout", "99999999H"), want: 2},
		"no time":                 {send: newScript().call(1, small, "grpc-timeout", "0n"), want: 1},
		"bad timeout":             {send: newScript().call(1, small, "grpc-timeout", "1x").call(3, small, "grpc-timeout", "x").call(5, small, "grpc-timeout", "1234567890u").call(7, small, "grpc-timeout", "-1u"), want: 4},
		"no authority":            {send: newScript().call(1, small, ":authority", ""), want: 1},
		"host":                    {send: newScript().call(1, small, ":authority", "", "host", "x"), want: 1},
		"forbidden field":         {send: newScript().call(1, small, "connection", "close").call(3, small), want: 2},
		"binary field":            {send: newScript().call(1, small, "a-bin", "AQID"), want: 1},
		"upper case":              {send: newScript().call(1, small, "A", "b").call(3, small), want: 2},
		"two authorities":         {send: newScript().call(1, small, "+:authority", "b").call(3, small), want: 2},
		"two hosts":               {send: newScript().call(1, small, "host", "a", "+host", "b").call(3, small), want: 2},
		"unknown pseudo field":    {send: newScript().pseudo(1, ":status", "200").call(3, small), want: 2},
		"path twice":              {send: newScript().pseudo(1, ":path", "/x").call(3, small), want: 2},
		"bad value":               {send: newScript().call(1, small, "a", "b\x01").call(3, small), want: 2},
		"bad name":                {send: newScript().call(1, small, "a b", "c").call(3, small), want: 2},
		"list too large":          {send: newScript().manyFields(1).call(3, small), want: 2},
		"pseudo field late":       {send: newScript().call(1, small, "+:path", "/x").call(3, small), want: 2},
		"overload":                {send: newScript().call(1, small).call(3, small), want: 2, answer: over},
		"our fault":               {send: newScript().call(1, small), want: 1, answer: errors.New("secret")},
		"large head":              {send: newScript().call(1, small, "a", strings.Repeat("a", 12000), "b", strings.Repeat("b", 12000)), want: 1},
		"data without stream":     {send: newScript().call(1, small).data(7, true, small).call(9, small), want: 2},
		"even id":                 {send: newScript().call(2, small), want: 1, code: http2.ErrCodeProtocol},
		"id again":                {send: newScript().call(3, small).call(1, small), want: 2, code: http2.ErrCodeProtocol},
		"trailers":                {send: newScript().head(1, false, exportPath).head(1, true, exportPath), want: 1, code: http2.ErrCodeProtocol},
		"reset":                   {send: newScript().head(1, false, exportPath).reset(1).call(3, small), want: 1},
		"ping":                    {send: raw(newScript(), http2.FramePing, 0, 0, "12345678").call(1, small), want: 1},
		"unknown frame":           {send: raw(newScript(), 99, 0, 0, "12345678").call(1, small), want: 1},
		"priority":                {send: raw(newScript(), http2.FramePriority, 0, 5, "\x00\x00\x00\x00\x10").call(1, small), want: 1},
		"padding":                 {send: newScript().padded(1, exportPath, small), want: 1},
		"too much padding":        {send: raw(newScript().head(1, false, exportPath), http2.FrameData, http2.FlagDataPadded, 1, "\x05abc"), want: 1, code: http2.ErrCodeProtocol},
		"continued":               {send: newScript().continued(1, exportPath, 7).data(1, true, small).call(3, small), want: 2},
		"not continued":           {send: raw(raw(newScript(), http2.FrameHeaders, 0, 1, "\x83"), http2.FramePing, 0, 0, "12345678"), want: 1, code: http2.ErrCodeProtocol},
		"stray continuation":      {send: newScript().stray(), want: 1, code: http2.ErrCodeProtocol},
		"bad compression":         {send: raw(newScript(), http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, "\xff\xff\xff\xff\xff\xff"), want: 1, code: http2.ErrCodeCompression},
		"giant frame":             {send: raw(newScript(), http2.FrameData, 0, 1, strings.Repeat("a", maxFrame+1)), want: 1, code: http2.ErrCodeFrameSize},
		"no more window":          {send: raw(newScript(), http2.FrameWindowUpdate, 0, 0, "\x00\x00\x00\x00"), want: 1, code: http2.ErrCodeProtocol},
		"bad settings":            {send: newScript(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}), want: 1, code: http2.ErrCodeFlowControl},
		"settings of odd length":  {send: raw(newScript(), http2.FrameSettings, 0, 0, "abc"), want: 1, code: http2.ErrCodeFrameSize},
		"ping of odd length":      {send: raw(newScript(), http2.FramePing, 0, 0, "abc"), want: 1, code: http2.ErrCodeFrameSize},
		"many pings":              {send: newScript().pings(6), want: 1, code: http2.ErrCodeEnhanceYourCalm},
		"small window":            {send: newScript(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 2}).call(1, small).window(1, 1).window(1, 5), want: 1},
		"no table":                {send: newScript(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}).call(1, small).call(3, small), want: 2},
		"table taken away":        {send: newScript().call(1, small).settings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}).call(3, small).call(5, prefixed(0, []byte("hello"))), want: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole := test.send.String()
			pieces := map[string][]string{"halves": {whole[:len(whole)/2], whole[len(whole)/2:]}}
			if test.code == 0 { // both take their time to hang up
				pieces["whole"] = []string{whole}
			}
			if test.code == 0 && len(whole) < 2000 {
				pieces["bytes"], pieces["sevens"] = chunks(whole, 1), chunks(whole, 7)
			}
			for how, p := range pieces {
				var said [2]string
				var stored [2]func() string
				for i := range said {
					sink := &recorder{answer: func(context.Context) error { return test.answer }}
					s := startPiped(t, test.limits, sink)
					client, server := net.Pipe() // each piece is read by itself
					if i == 0 {
						go s.calls.serve(server)
					} else {
						go s.grpcConns.give(server)
					}
					go func() {
						for _, b := range p {
							if _, err := io.WriteString(client, b); err != nil {
								return
							}
						}
					}()
					_ = client.SetDeadline(time.Now().Add(10 * time.Second))
					said[i] = hear(t, client, test.want)
					client.Close()
					stored[i] = func() string { return books(s, sink) }
				}
				if strings.HasSuffix(said[0], "end") { // grpc-go does not always say why
					if want := fmt.Sprintf("go away %v, end", test.code); said[0] != want || !strings.HasSuffix(said[1], "end") {
						t.Errorf("%s: %s, and grpc-go %s; want %s", how, said[0], said[1], want)
					}
					continue
				}
				if said[0] != said[1] {
					t.Errorf("%s: answers\n%s\nwant\n%s", how, said[0], said[1])
				}
				var got, want string
				for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); { // grpc-go's path answers before it counts
					if got, want = stored[0](), stored[1](); got == want {
						break
					}
					runtime.Gosched()
				}
				if got != want {
					t.Errorf("%s: stored %s\nwant %s", how, got, want)
				}
			}
		})
	}
}

// books is what a server took, counted and still holds.
func books(s *Server, sink *recorder) string {
	var b strings.Builder
	for _, r := range sink.requests() {
		b.WriteString(dump(r))
	}
	n := s.Stats().Counts()
	fmt.Fprintf(&b, "in flight %d, %d bytes\n", n.InFlight, n.InFlightBytes)
	for _, p := range n.Protocols {
		fmt.Fprintf(&b, "%s: %d requests, %d spans, %d bytes", p.Protocol, p.Requests, p.Spans, p.Bytes)
		for _, reason := range reasons {
			if p.Refused[reason] > 0 {
				fmt.Fprintf(&b, ", %d %s with %d spans", p.Refused[reason], reason, p.RefusedSpans[reason])
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func chunks(s string, n int) (all []string) {
	for ; len(s) > n; s = s[n:] {
		all = append(all, s[:n])
	}
	return append(all, s)
}

func (s *script) reset(id uint32) *script { return s.do(s.fr.WriteRSTStream(id, http2.ErrCodeCancel)) }

func (s *script) window(id, n uint32) *script { return s.do(s.fr.WriteWindowUpdate(id, n)) }

// pseudo is a call whose head begins with one more field.
func (s *script) pseudo(id uint32, name, value string) *script {
	s.blk.Reset()
	for _, f := range []hpack.HeaderField{{Name: name, Value: value}, {Name: ":method", Value: "POST"}, {Name: ":path", Value: exportPath}, {Name: ":authority", Value: "a"}, {Name: "content-type", Value: "application/grpc"}} {
		s.do(s.enc.WriteField(f))
	}
	return s.do(s.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: s.blk.Bytes(), EndHeaders: true, EndStream: true}))
}

func (s *script) stray() *script { return s.do(s.fr.WriteContinuation(1, true, nil)) }

// manyFields is a call whose head is small on the wire and large when decoded.
func (s *script) manyFields(id uint32) *script {
	var fields []string
	for range 100 {
		fields = append(fields, "+a", strings.Repeat("b", 1000))
	}
	return s.head(id, true, exportPath, fields...)
}

func (s *script) settings(all ...http2.Setting) *script { return s.do(s.fr.WriteSettings(all...)) }

func (s *script) pings(n int) *script {
	for range n {
		s.do(s.fr.WritePing(false, [8]byte{1}))
	}
	return s
}

func (s *script) padded(id uint32, path string, b []byte) *script {
	s.do(s.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: s.block(path), EndHeaders: true, PadLength: 9, Priority: http2.PriorityParam{Weight: 3}}))
	s.do(s.fr.WriteDataPadded(id, false, b[:10], make([]byte, 255)))
	s.do(s.fr.WriteDataPadded(id, false, nil, make([]byte, 3)))
	return s.do(s.fr.WriteDataPadded(id, true, b[10:], nil))
}

// continued sends a header block in pieces of n bytes.
func (s *script) continued(id uint32, path string, n int) *script {
	b := s.block(path)
	s.do(s.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b[:n]}))
	for b = b[n:]; len(b) > n; b = b[n:] {
		s.do(s.fr.WriteContinuation(id, false, b[:n]))
	}
	return s.do(s.fr.WriteContinuation(id, true, b))
}
