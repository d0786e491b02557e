package zipkin

import (
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/internal/spantest"
	"etude/internal/wire"
	"etude/receive/spans"
)

// arrival is when the lists of the tests arrive.
var arrival = time.Unix(1_600_000_000, 0)

func TestMapping(t *testing.T) {
	spantest.Run(t, "testdata/zipkin.txt", func(t *testing.T, input string) string {
		out, err := FromJSON(nil, []byte(input), arrival, spans.Bounds{})
		if err != nil {
			return err.Error()
		}
		return spantest.Text(t, out)
	})
}

// checkTimes wants OTLP that protobuf's own code reads, whose spans have times in
// order.
func checkTimes(t *testing.T, payload []byte) {
	t.Helper()
	for _, rs := range spantest.Unmarshal(t, payload).ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				if s.StartTimeUnixNano == 0 || s.EndTimeUnixNano < s.StartTimeUnixNano {
					t.Fatalf("span from %d to %d", s.StartTimeUnixNano, s.EndTimeUnixNano)
				}
			}
		}
	}
}

func TestManyEmptySpansCostLittle(t *testing.T) {
	body := []byte("[" + strings.Repeat("{},", 1_000_000) + "{}]")
	allocated := spantest.AllocatedBy(func() {
		if _, err := FromJSON(nil, body, arrival, spans.Bounds{Spans: 1000}); err == nil {
			t.Error("accepted")
		}
	})
	if allocated > 1<<20 {
		t.Errorf("allocated %d bytes", allocated)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`[]`))
	f.Add([]byte(`[{"traceId":"00000000000000aa00000000000000aa","id":"00000000000000bb","parentId":"00000000000000cc","kind":"CLIENT","timestamp":1,"duration":-2,"tags":{"error":"x","a":""},"annotations":[{"timestamp":3,"value":"v"}],"localEndpoint":{"serviceName":"s","ipv4":"1.2.3.4"},"remoteEndpoint":{"port":80}}]`))
	f.Add([]byte(`[{"traceId":"xx"}]`))
	f.Add([]byte(`[[[[[`))
	f.Add([]byte(`[{"traceId":"00000000000000aa","id":"00000000000000bb","timestamp":18446744073709551,"duration":1}]`))
	f.Add([]byte(`[{"traceId":"00000000000000aa","id":"00000000000000bb","annotations":[{"timestamp":7,"value":"cs","endpoint":{"serviceName":"a"}},{"timestamp":9,"value":"cr"}],"binaryAnnotations":[{"key":"sa","value":true,"endpoint":{"ipv4":"1.2.3.4"}},{"key":"n","value":1.5}]}]`))
	f.Add([]byte(`[{"x":[{"y":"\"]}"},-1.5e3,null,true],"traceId":"00000000000000aa","id":"00000000000000bb","name":"\u00e9\ud83d\ude00"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := FromJSON(nil, b, arrival, spans.Bounds{Spans: 100})
		if err == nil {
			checkTimes(t, out)
		}
		if !json.Valid(b) && err == nil {
			t.Fatal("accepted what is not JSON")
		}
	})
}

func FuzzProto(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x0a\x14\x0a\x0812345678\x1a\x0812345678"))
	_, cases := spantest.Cases(f, "testdata/zipkin.txt")
	for _, c := range cases {
		if b, ok := zipkinAsProto(c.Input); ok {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := FromProto(nil, b, arrival, spans.Bounds{Spans: 100})
		if err == nil {
			checkTimes(t, out)
		}
	})
}

// TestProtoAgreesWithJSON sends the cases of JSON, as far as protobuf can
// say them, as protobuf.
func TestProtoAgreesWithJSON(t *testing.T) {
	_, cases := spantest.Cases(t, "testdata/zipkin.txt")
	sent := 0
	for _, c := range cases {
		body, ok := zipkinAsProto(c.Input)
		if !ok {
			continue
		}
		sent++
		t.Run(c.Name, func(t *testing.T) {
			out, err := FromProto(nil, body, arrival, spans.Bounds{})
			text := strings.TrimSpace(spantest.Text(t, out))
			if err != nil {
				text = err.Error()
			}
			if text != c.Want {
				t.Errorf("got:\n%s\nwant:\n%s", text, c.Want)
			}
		})
	}
	if sent < 5 {
		t.Errorf("only %d cases can be said in protobuf", sent)
	}
}

// zipkinAsProto reads a list of spans with encoding/json and writes it with the
// numbers of zipkin.proto. Values that JSON cannot express are not ok.
func zipkinAsProto(text string) (_ []byte, ok bool) {
	type endpoint struct {
		ServiceName, IPv4, IPv6 string
		Port                    uint64
	}
	var all []struct {
		TraceID, ID, ParentID, Name, Kind string
		Timestamp, Duration               uint64
		LocalEndpoint, RemoteEndpoint     *endpoint
		Annotations                       []struct {
			Timestamp uint64
			Value     string
			Endpoint  any
		}
		Tags              map[string]string
		BinaryAnnotations any
		Debug, Shared     bool
	}
	if json.Unmarshal([]byte(text), &all) != nil || text == "null" {
		return nil, false
	}
	var p wire.Builder
	ok = true
	id := func(field protowire.Number, v string, digits ...int) {
		b, err := hex.DecodeString(v)
		ok = ok && err == nil && slices.Contains(digits, len(v))
		p.Bytes(field, b)
	}
	address := func(field protowire.Number, v string) {
		if v != "" {
			p.Bytes(field, netip.MustParseAddr(v).AsSlice())
		}
	}
	to := func(field protowire.Number, e *endpoint) {
		if e != nil {
			m := p.Open(field)
			p.String(1, e.ServiceName)
			address(2, e.IPv4)
			address(3, e.IPv6)
			p.Varint(4, e.Port)
			p.Close(m)
		}
	}
	kinds := []string{"", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"}
	for _, s := range all {
		span := p.Open(1)
		id(1, s.TraceID, 16, 32)
		id(2, s.ParentID, 0, 16)
		id(3, s.ID, 16)
		kind := slices.Index(kinds, s.Kind)
		ok = ok && kind >= 0 && s.BinaryAnnotations == nil
		p.Varint(4, uint64(max(kind, 0)))
		p.String(5, s.Name)
		p.Fixed64(6, s.Timestamp)
		p.Varint(7, s.Duration)
		to(8, s.LocalEndpoint)
		to(9, s.RemoteEndpoint)
		for _, a := range s.Annotations {
			m := p.Open(10)
			p.Fixed64(1, a.Timestamp)
			p.String(2, a.Value)
			p.Close(m)
			ok = ok && a.Endpoint == nil
		}
		for k, v := range s.Tags {
			m := p.Open(11)
			p.String(1, k)
			p.String(2, v)
			p.Close(m)
		}
		p.Varint(12, protowire.EncodeBool(s.Debug))
		p.Varint(13, protowire.EncodeBool(s.Shared))
		p.Close(span)
	}
	return p.B, ok
}
