package jaeger

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	"google.golang.org/protobuf/encoding/protowire"

	"etude/internal/spantest"
	"etude/receive/jaeger/jaegertest"
	"etude/receive/spans"
)

// TestThriftMapping translates each batch of the file.
func TestThriftMapping(t *testing.T) {
	spantest.Run(t, "testdata/thrift.txt", func(t *testing.T, input string) string {
		got, err := FromThrift(nil, jaegertest.Thrift(t, jaegertest.Binary, jaegertest.Parse(t, input)), false, spans.Bounds{})
		if err != nil {
			t.Fatal(err)
		}
		return spantest.Text(t, got)
	})
}

// TestThriftHostileLengths: a length that was made up must not be believed.
func TestThriftHostileLengths(t *testing.T) {
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
		allocated := spantest.AllocatedBy(func() {
			if _, err := FromThrift(nil, body, false, spans.Bounds{Spans: 1000}); err == nil {
				t.Error("accepted")
			}
		})
		if limit := int64(1<<20 + len(body)); allocated > limit {
			t.Errorf("%s: allocated %d bytes for %d", name, allocated, len(body))
		}
	}
}

// TestThriftAgreesWithUpstream changes one byte at a time, of all kinds: required
// fields go missing, types change, lists grow and shrink.
func TestThriftAgreesWithUpstream(t *testing.T) {
	t.Parallel()
	batch := jaegertest.Parse(t, "service a\nprocess hostname=\"h\"\nspan op trace=1:1 id=2 parent=3 start=1 duration=2\n"+
		"tag error=true n=1 d=1.5 b=0x01 s=\"x\"\nref child_of 1:1 7\nlog 5 event=\"e\"\nlog 6")
	batch.Spans[0].Logs[1].Fields = []*jaeger.Tag{}
	for _, compact := range []bool{false, true} {
		encoder := jaegertest.Binary
		if compact {
			encoder = jaegertest.Compact
		}
		whole := jaegertest.Thrift(t, encoder, batch)
		for i := range whole {
			for _, change := range []byte{0x01, 0x02, 0x04, 0x07, 0x10, 0x20, 0x40, 0x80, 0xff} {
				body := bytes.Clone(whole)
				body[i] ^= change
				got, err := FromThrift(nil, body, compact, spans.Bounds{Spans: 100})
				compareThrift(t, body, compact, got, err)
			}
		}
	}
}

// TestThriftBounds: what nests too deep or is too long is refused for that, though
// it is well formed.
func TestThriftBounds(t *testing.T) {
	t.Parallel()
	tags := jaegertest.Parse(t, "service a")
	tags.Process.Tags = slices.Repeat(jaegertest.Tags(t, []string{"n=1"}), maxList+1)
	const process, list = "0c 0001 0b 0001 00000000 00", "0f 0002 0c 00000000"
	for _, c := range []struct {
		name, text string
		body       []byte
		want       string
	}{
		{name: "nothing unknown", text: process + list + "00"},
		{name: "process twice", text: process + process + list + "00", want: "occurs twice"},
		{name: "spans twice", text: process + list + list + "00", want: "occurs twice"},
		{name: "no process", text: list + "00", want: "batch without process"},
		{name: "no spans", text: process + "00", want: "batch without spans"},
		{name: "spans before the process", text: list + process + "00"},
		{name: "a few lists", text: process + list + "0f 0063" + strings.Repeat("0f 00000001", 50) + "03 00000001 00 00"},
		{name: "deep lists", text: process + list + "0f 0063" + strings.Repeat("0f 00000001", 100) + "03 00000001 00 00", want: "nested too deeply"},
		{name: "deep structs", text: process + list + strings.Repeat("0c 0063", 100) + strings.Repeat("00", 101), want: "nested too deeply"},
		{name: "deep maps", text: process + list + "0d 0063" + strings.Repeat("030d 00000001 01", 100) + "0303 00000000 00", want: "nested too deeply"},
		{name: "long list", body: jaegertest.Thrift(t, jaegertest.Binary, tags), want: "more than 65536 tags"},
	} {
		body := c.body
		if body == nil {
			var err error
			if body, err = hex.DecodeString(strings.ReplaceAll(c.text, " ", "")); err != nil {
				t.Fatal(err)
			}
		}
		_, err := FromThrift(nil, body, false, spans.Bounds{Spans: 100})
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func FuzzThrift(f *testing.F) {
	f.Add([]byte{0})
	f.Add(jaegertest.Thrift(f, jaegertest.Binary, jaegertest.Parse(f, "service a\nprocess hostname=\"h\"\nspan op trace=1:1 id=2 parent=0 start=1 duration=2\ntag error=true n=1 d=1.5 b=0x01\nref child_of 1:1 7\nlog 5 event=\"e\"")))
	f.Add(jaegertest.Thrift(f, jaegertest.Compact, jaegertest.Parse(f, "service a\nspan op trace=1:1 id=2 parent=0 start=-1 duration=-2\ntag http.status_code=\"500\"")))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, compact := range []bool{false, true} {
			out, err := FromThrift(nil, b, compact, spans.Bounds{Spans: 100})
			if err == nil {
				spantest.Unmarshal(t, out)
			}
			compareThrift(t, b, compact, out, err)
		}
	})
}

// compareThrift asks upstream's decoder. It accepts whatever ours accepts, and finds the
// same in it; a message that it accepts, ours accepts when it is written the usual way (ours
// refuses lists of the wrong type and fields that are there twice).
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
		encoder := jaegertest.Binary
		if compact {
			encoder = jaegertest.Compact
		}
		if got, err = FromThrift(nil, jaegertest.Thrift(t, encoder, batch), compact, spans.Bounds{Spans: 100}); err != nil {
			t.Fatalf("refused what upstream takes: %v", err)
		}
	}
	var want spans.Writer
	writeUpstream(&want, batch)
	if !bytes.Equal(got, want.B) {
		t.Fatalf("batch %v became\n%swant\n%s", batch, spantest.Text(t, got), spantest.Text(t, want.B))
	}
}

func upstreamThrift(body []byte, compact bool) (*jaeger.Batch, error) {
	config := &thrift.TConfiguration{MaxMessageSize: int32(max(len(body), 1))}
	transport := &thrift.TMemoryBuffer{Buffer: bytes.NewBuffer(bytes.Clone(body))}
	protocol := jaegertest.Binary(transport, config)
	if compact {
		protocol = jaegertest.Compact(transport, config)
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

// writeUpstream writes what upstream's objects say, by the same rules.
func writeUpstream(p *spans.Writer, batch *jaeger.Batch) {
	rs := p.OpenResource()
	writeProcess(p, batch.Process.ServiceName, upstreamTags(batch.Process.Tags))
	ss := p.OpenScope(spans.Scope{})
	for _, u := range batch.Spans {
		s := span{
			traceHigh: uint64(u.TraceIdHigh), traceLow: uint64(u.TraceIdLow), id: uint64(u.SpanId), parent: uint64(u.ParentSpanId),
			name: u.OperationName, start: nanos(u.StartTime), end: nanos(endMicros(u.StartTime, u.Duration)),
			tags: uniqueTags(upstreamTags(u.Tags)),
		}
		for _, r := range u.References {
			s.refs = append(s.refs, ref{int32(r.RefType), uint64(r.TraceIdHigh), uint64(r.TraceIdLow), uint64(r.SpanId)})
		}
		for _, l := range u.Logs {
			writeLog(&s.events, nanos(l.Timestamp), upstreamTags(l.Fields))
		}
		writeSpan(p, &s, "")
	}
	p.Close(ss)
	p.Close(rs)
}

func upstreamTags(tags []*jaeger.Tag) []tag {
	var out []tag
	for _, u := range tags {
		t := tag{key: u.Key}
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
