package receive

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	"google.golang.org/protobuf/encoding/protowire"
)

const jaegerQuery = "/api/traces?format=jaeger.thrift"

// TestJaegerMapping sends each batch of the file as thrift over a socket and
// compares the OTLP that reaches the Sink.
func TestJaegerMapping(t *testing.T) {
	scenarios(t, "testdata/jaeger.txt", func(t *testing.T, input string) string {
		sink := new(recorder)
		s := start(t, Config{}, sink)
		body := encodeThrift(t, binaryThrift, parseBatch(t, input))
		got := send(t, client(t), http.MethodPost, "http://"+s.Addrs().Jaeger+jaegerQuery, bytes.NewReader(body), "Content-Type", "application/x-thrift")
		if got.status != http.StatusAccepted || got.body != "" {
			t.Fatalf("answer %d %q, want 202 and no body", got.status, got.body)
		}
		return dump(sink.one(t))
	})
}

func TestJaegerProtocols(t *testing.T) {
	t.Parallel()
	batch := parseBatch(t, "service a\nspan op trace=0:1 id=2 parent=0 start=1 duration=2")
	for contentType, p := range map[string]newThrift{
		"application/x-thrift":                  binaryThrift,
		"application/x-thrift; charset=utf-8":   binaryThrift,
		"application/vnd.apache.thrift.binary":  binaryThrift,
		"application/vnd.apache.thrift.compact": compactThrift,
	} {
		sink := new(recorder)
		s := start(t, Config{}, sink)
		got := send(t, client(t), http.MethodPost, "http://"+s.Addrs().Jaeger+"/api/traces", bytes.NewReader(encodeThrift(t, p, batch)), "Content-Type", contentType)
		if got.status != http.StatusAccepted {
			t.Errorf("%s: answer %d %s", contentType, got.status, got.body)
			continue
		}
		want := "resource service.name=\"a\"\nspan \"op\" trace=00000000000000000000000000000001 id=0000000000000002 UNSPECIFIED 1000..3000\n"
		if d := dump(sink.one(t)); d != want {
			t.Errorf("%s: got %s", contentType, d)
		}
	}
}

func TestJaegerRefusals(t *testing.T) {
	t.Parallel()
	good := encodeThrift(t, binaryThrift, parseBatch(t, "service a\nspan op trace=0:1 id=2 parent=0 start=1 duration=2\nspan op trace=0:1 id=3 parent=2 start=1 duration=2"))
	const thriftType = "application/x-thrift"
	for _, c := range []struct {
		name, method, path, contentType string
		body                            []byte
		sink                            error
		limits                          Limits
		status                          int
		text                            string
	}{
		{name: "no content type", body: good, status: 400, text: "no usable Content-Type"},
		{name: "other content type", contentType: "text/plain", body: good, status: 400, text: `"text/plain" is not supported`},
		{name: "garbage", contentType: thriftType, body: []byte("hello"), status: 400, text: "not a Jaeger thrift batch"},
		{name: "empty", contentType: thriftType, status: 400, text: "not a Jaeger thrift batch"},
		{name: "cut off", contentType: thriftType, body: good[:len(good)-9], status: 400, text: "not a Jaeger thrift batch"},
		{name: "trailing bytes", contentType: thriftType, body: append(bytes.Clone(good), 1, 2), status: 400, text: "2 bytes follow"},
		{name: "GET", method: http.MethodGet, contentType: thriftType, status: 405, text: "POST"},
		{name: "other path", path: "/v1/traces", contentType: thriftType, body: good, status: 404, text: "/api/traces"},
		{name: "bad ids", contentType: thriftType, body: good, sink: invalidSpans{}, status: 400, text: "trace id is zero"},
		{name: "overload", contentType: thriftType, body: good, sink: comeBack{}, status: 429, text: "busy"},
		{name: "full disk", contentType: thriftType, body: good, sink: diskFull{}, status: 503, text: "disk is full"},
		{name: "broken store", contentType: thriftType, body: good, sink: fmt.Errorf("secret path"), status: 500, text: "internal error"},
		{name: "too many spans", contentType: thriftType, body: good, limits: Limits{Spans: 1}, status: 400, text: "limit is 1"},
		{name: "too large", contentType: thriftType, body: good, limits: Limits{Body: 10}, status: 400, text: "limit of 10 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sink := &recorder{answer: func(context.Context) error { return c.sink }}
			s := start(t, Config{Limits: c.limits}, sink)
			method, path := http.MethodPost, "/api/traces"
			if c.method != "" {
				method = c.method
			}
			if c.path != "" {
				path = c.path
			}
			got := send(t, client(t), method, "http://"+s.Addrs().Jaeger+path, bytes.NewReader(c.body), "Content-Type", c.contentType)
			if got.status != c.status || !strings.Contains(got.body, c.text) {
				t.Errorf("answer %d %q, want %d with %q", got.status, got.body, c.status, c.text)
			}
			if strings.Contains(got.body, "secret") {
				t.Errorf("internal error leaked: %s", got.body)
			}
			if retry := got.header.Get("Retry-After"); (retry != "") != (c.status == 429 || c.status == 503) {
				t.Errorf("status %d with Retry-After %q", got.status, retry)
			}
			if len(sink.requests()) != 0 {
				t.Error("Sink kept a refused batch")
			}
		})
	}
}

// TestJaegerHostileLengths: a length that was made up must not be believed.
func TestJaegerHostileLengths(t *testing.T) {
	for name, text := range map[string]string{
		"2^31-1 spans":         "0f 0002 0c 7fffffff",
		"negative spans":       "0f 0002 0c ffffffff",
		"2^31-1 bytes of name": "0c 0001 0b 0001 7fffffff",
		"2^31-1 tags":          "0c 0001 0b 0001 00000000 0f 0002 0c 7fffffff",
		"unknown map of voids": "0d 0063 01 01 7fffffff",
		"deep unknown structs": strings.Repeat("0c 0063 ", 10_000),
		"deep unknown lists":   "0f 0063 0f 00000001" + strings.Repeat("0f 00000001", 10_000),
		"1M spans in 1 MB":     "0f 0002 0c 000f4240" + strings.Repeat("00", 1_000_000),
	} {
		body, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		allocated := allocatedBy(func() {
			if _, err := new(protoBuilder).jaegerThrift(body, false, testLimits(1000)); err == nil {
				t.Error("accepted")
			}
		})
		if limit := int64(1<<20 + len(body)); allocated > limit {
			t.Errorf("%s: allocated %d bytes for %d", name, allocated, len(body))
		}
	}
}

// TestJaegerAgreesWithUpstream changes one byte at a time, of all kinds: required
// fields go missing, types change, lists grow and shrink.
func TestJaegerAgreesWithUpstream(t *testing.T) {
	t.Parallel()
	batch := parseBatch(t, "service a\nprocess hostname=\"h\"\nspan op trace=1:1 id=2 parent=3 start=1 duration=2\n"+
		"tag error=true n=1 d=1.5 b=0x01 s=\"x\"\nref child_of 1:1 7\nlog 5 event=\"e\"\nlog 6")
	batch.Spans[0].Logs[1].Fields = []*jaeger.Tag{}
	for _, compact := range []bool{false, true} {
		encoder := binaryThrift
		if compact {
			encoder = compactThrift
		}
		whole := encodeThrift(t, encoder, batch)
		for i := range whole {
			for _, change := range []byte{0x01, 0x02, 0x04, 0x07, 0x10, 0x20, 0x40, 0x80, 0xff} {
				body := bytes.Clone(whole)
				body[i] ^= change
				var p protoBuilder
				_, err := p.jaegerThrift(body, compact, testLimits(100))
				compareThrift(t, body, compact, p.b, err)
			}
		}
	}
}

// TestJaegerBounds: what nests too deep or is too long is refused for that, though
// it is well formed.
func TestJaegerBounds(t *testing.T) {
	t.Parallel()
	tags := parseBatch(t, "service a")
	tags.Process.Tags = slices.Repeat(parseTags(t, []string{"n=1"}), maxJaegerList+1)
	const process, spans = "0c 0001 0b 0001 00000000 00", "0f 0002 0c 00000000"
	for _, c := range []struct {
		name, text string
		body       []byte
		want       string
	}{
		{name: "nothing unknown", text: process + spans + "00"},
		{name: "process twice", text: process + process + spans + "00", want: "stands twice"},
		{name: "spans twice", text: process + spans + spans + "00", want: "stands twice"},
		{name: "no process", text: spans + "00", want: "batch without process"},
		{name: "no spans", text: process + "00", want: "batch without spans"},
		{name: "spans before the process", text: spans + process + "00"},
		{name: "a few lists", text: process + spans + "0f 0063" + strings.Repeat("0f 00000001", 50) + "03 00000001 00 00"},
		{name: "deep lists", text: process + spans + "0f 0063" + strings.Repeat("0f 00000001", 100) + "03 00000001 00 00", want: "nests too deep"},
		{name: "deep structs", text: process + spans + strings.Repeat("0c 0063", 100) + strings.Repeat("00", 101), want: "nests too deep"},
		{name: "deep maps", text: process + spans + "0d 0063" + strings.Repeat("030d 00000001 01", 100) + "0303 00000000 00", want: "nests too deep"},
		{name: "long list", body: encodeThrift(t, binaryThrift, tags), want: "more than 65536 tags"},
	} {
		body := c.body
		if body == nil {
			var err error
			if body, err = hex.DecodeString(strings.ReplaceAll(c.text, " ", "")); err != nil {
				t.Fatal(err)
			}
		}
		_, err := new(protoBuilder).jaegerThrift(body, false, testLimits(100))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func FuzzJaeger(f *testing.F) {
	f.Add([]byte{0})
	f.Add(encodeThrift(f, binaryThrift, parseBatch(f, "service a\nprocess hostname=\"h\"\nspan op trace=1:1 id=2 parent=0 start=1 duration=2\ntag error=true n=1 d=1.5 b=0x01\nref child_of 1:1 7\nlog 5 event=\"e\"")))
	f.Add(encodeThrift(f, compactThrift, parseBatch(f, "service a\nspan op trace=1:1 id=2 parent=0 start=-1 duration=-2\ntag http.status_code=\"500\"")))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, compact := range []bool{false, true} {
			var out protoBuilder
			n, err := out.jaegerThrift(b, compact, testLimits(100))
			if err == nil {
				checkPayload(t, out.b, n)
			}
			compareThrift(t, b, compact, out.b, err)
		}
	})
}

// compareThrift asks upstream's decoder. What ours takes, it takes, and finds the
// same in it; what it takes, ours takes when it is written the usual way (ours
// refuses lists of the wrong type and fields that stand twice).
func compareThrift(t *testing.T, body []byte, compact bool, got []byte, err error) {
	t.Helper()
	batch, wantErr := upstreamThrift(body, compact)
	if wantErr != nil {
		if err == nil {
			t.Fatalf("accepted what upstream refuses: %v", wantErr)
		}
		return
	}
	if len(batch.Spans) > 100 {
		return
	}
	if err != nil {
		encoder := binaryThrift
		if compact {
			encoder = compactThrift
		}
		var again protoBuilder
		if _, err := again.jaegerThrift(encodeThrift(t, encoder, batch), compact, testLimits(100)); err != nil {
			t.Fatalf("refused what upstream takes: %v", err)
		}
		got = again.b
	}
	var want protoBuilder
	want.upstreamBatch(batch)
	if !bytes.Equal(got, want.b) {
		t.Fatalf("batch %v became\n%swant\n%s", batch, dump(unmarshal(t, got)), dump(unmarshal(t, want.b)))
	}
}

func upstreamThrift(body []byte, compact bool) (*jaeger.Batch, error) {
	config := &thrift.TConfiguration{MaxMessageSize: int32(max(len(body), 1))}
	transport := &thrift.TMemoryBuffer{Buffer: bytes.NewBuffer(bytes.Clone(body))}
	protocol := binaryThrift(transport, config)
	if compact {
		protocol = compactThrift(transport, config)
	}
	batch := jaeger.NewBatch()
	if err := batch.Read(context.Background(), protocol); err != nil {
		return nil, err
	}
	if n := transport.Len(); n > 0 {
		return nil, fmt.Errorf("%d bytes follow", n)
	}
	return batch, nil
}

// upstreamBatch writes what upstream's objects say, by the same rules.
func (p *protoBuilder) upstreamBatch(batch *jaeger.Batch) {
	rs := p.open(fieldResourceSpans)
	p.jaegerProcess(batch.Process.ServiceName, upstreamTags(batch.Process.Tags))
	ss := p.open(fieldScopeSpans)
	for _, u := range batch.Spans {
		s := jaegerSpan{
			traceHigh: uint64(u.TraceIdHigh), traceLow: uint64(u.TraceIdLow), id: uint64(u.SpanId), parent: uint64(u.ParentSpanId),
			name: u.OperationName, start: nanos(u.StartTime), end: nanos(endMicros(u.StartTime, u.Duration)),
			tags: uniqueTags(upstreamTags(u.Tags)),
		}
		for _, ref := range u.References {
			s.refs = append(s.refs, jaegerRef{int32(ref.RefType), uint64(ref.TraceIdHigh), uint64(ref.TraceIdLow), uint64(ref.SpanId)})
		}
		for _, l := range u.Logs {
			s.events.jaegerLog(nanos(l.Timestamp), upstreamTags(l.Fields))
		}
		p.jaegerSpan(&s, "")
	}
	p.close(ss)
	p.close(rs)
}

func upstreamTags(tags []*jaeger.Tag) []jaegerTag {
	var out []jaegerTag
	for _, u := range tags {
		t := jaegerTag{key: u.Key}
		switch u.VType {
		case jaeger.TagType_STRING:
			t.typ, t.text = tagString, u.GetVStr()
		case jaeger.TagType_DOUBLE:
			t.typ, t.bits = tagDouble, math.Float64bits(u.GetVDouble())
		case jaeger.TagType_BOOL:
			t.typ, t.bits = tagBool, protowire.EncodeBool(u.GetVBool())
		case jaeger.TagType_LONG:
			t.typ, t.bits = tagLong, uint64(u.GetVLong())
		case jaeger.TagType_BINARY:
			t.typ, t.text = tagBinary, string(u.GetVBinary())
		default:
			t.bits = uint64(u.VType)
		}
		out = append(out, t)
	}
	return out
}

type newThrift func(thrift.TTransport, *thrift.TConfiguration) thrift.TProtocol

func binaryThrift(t thrift.TTransport, c *thrift.TConfiguration) thrift.TProtocol {
	return thrift.NewTBinaryProtocolConf(t, c)
}

func compactThrift(t thrift.TTransport, c *thrift.TConfiguration) thrift.TProtocol {
	return thrift.NewTCompactProtocolConf(t, c)
}

func encodeThrift(t testing.TB, p newThrift, batch *jaeger.Batch) []byte {
	t.Helper()
	buf := thrift.NewTMemoryBuffer()
	if err := batch.Write(context.Background(), p(buf, nil)); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// parseBatch reads the notation of testdata/jaeger.txt.
func parseBatch(t testing.TB, text string) *jaeger.Batch {
	t.Helper()
	batch := &jaeger.Batch{Process: &jaeger.Process{}, Spans: []*jaeger.Span{}}
	var s *jaeger.Span
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		switch args := words[1:]; words[0] {
		case "service":
			batch.Process.ServiceName = args[0]
		case "process":
			batch.Process.Tags = append(batch.Process.Tags, parseTags(t, args)...)
		case "span":
			s = parseSpan(t, args)
			batch.Spans = append(batch.Spans, s)
		case "tag":
			s.Tags = append(s.Tags, parseTags(t, args)...)
		case "ref":
			high, low := parseTraceID(t, args[1])
			s.References = append(s.References, &jaeger.SpanRef{
				RefType:     map[string]jaeger.SpanRefType{"child_of": 0, "follows_from": 1}[args[0]],
				TraceIdHigh: high, TraceIdLow: low, SpanId: parseInt(t, args[2], 16),
			})
		case "log":
			s.Logs = append(s.Logs, &jaeger.Log{Timestamp: parseInt(t, args[0], 10), Fields: parseTags(t, args[1:])})
		default:
			t.Fatalf("what is %q?", line)
		}
	}
	return batch
}

func parseSpan(t testing.TB, args []string) *jaeger.Span {
	s := &jaeger.Span{OperationName: args[0]}
	for _, a := range args[1:] {
		k, v, _ := strings.Cut(a, "=")
		switch k {
		case "trace":
			s.TraceIdHigh, s.TraceIdLow = parseTraceID(t, v)
		case "id":
			s.SpanId = parseInt(t, v, 16)
		case "parent":
			s.ParentSpanId = parseInt(t, v, 16)
		case "start":
			s.StartTime = parseInt(t, v, 10)
		case "duration":
			s.Duration = parseInt(t, v, 10)
		case "flags":
			s.Flags = int32(parseInt(t, v, 10))
		default:
			t.Fatalf("what is %q?", a)
		}
	}
	return s
}

func parseTraceID(t testing.TB, v string) (high, low int64) {
	h, l, _ := strings.Cut(v, ":")
	return parseInt(t, h, 16), parseInt(t, l, 16)
}

func parseInt(t testing.TB, v string, base int) int64 {
	t.Helper()
	if n, err := strconv.ParseInt(v, base, 64); err == nil {
		return n
	}
	n, err := strconv.ParseUint(v, base, 64)
	if err != nil {
		t.Fatal(err)
	}
	return int64(n)
}

// parseTags: "text", 12, 1.5, true, 0x00ff (binary), bad (a type that is none).
func parseTags(t testing.TB, words []string) []*jaeger.Tag {
	t.Helper()
	var tags []*jaeger.Tag
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if !ok {
			t.Fatalf("what is %q?", w)
		}
		tag := &jaeger.Tag{Key: k}
		if text, err := strconv.Unquote(v); err == nil {
			tag.VType, tag.VStr = jaeger.TagType_STRING, &text
		} else if digits, ok := strings.CutPrefix(v, "0x"); ok {
			tag.VType = jaeger.TagType_BINARY
			tag.VBinary, _ = hex.DecodeString(digits)
		} else if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			tag.VType, tag.VLong = jaeger.TagType_LONG, &n
		} else if d, err := strconv.ParseFloat(v, 64); err == nil {
			tag.VType, tag.VDouble = jaeger.TagType_DOUBLE, &d
		} else if b, err := strconv.ParseBool(v); err == nil {
			tag.VType, tag.VBool = jaeger.TagType_BOOL, &b
		} else if v == "bad" {
			tag.VType = 9
		} else {
			t.Fatalf("what is %q?", w)
		}
		tags = append(tags, tag)
	}
	return tags
}
