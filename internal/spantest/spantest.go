// Package spantest helps tests of several packages: it formats OTLP spans as text, and runs test cases from
// files.
package spantest

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

var update = flag.Bool("update", false, "rewrite the expected parts of testdata")

// Unmarshal decodes a request with protobuf's own code.
func Unmarshal(t testing.TB, payload []byte) *collector.ExportTraceServiceRequest {
	t.Helper()
	req := new(collector.ExportTraceServiceRequest)
	if err := proto.Unmarshal(payload, req); err != nil {
		t.Fatalf("not OTLP: %v", err)
	}
	return req
}

// Text is Dump of an encoded request.
func Text(t testing.TB, payload []byte) string {
	t.Helper()
	return Dump(Unmarshal(t, payload))
}

// Dump formats a request as text, one element a line.
func Dump(req *collector.ExportTraceServiceRequest) string {
	var b strings.Builder
	for _, rs := range req.ResourceSpans {
		fmt.Fprintf(&b, "resource%s\n", attrs(rs.Resource.GetAttributes()))
		for _, ss := range rs.ScopeSpans {
			if ss.Scope != nil {
				fmt.Fprintf(&b, "scope %q %q\n", ss.Scope.Name, ss.Scope.Version)
			}
			for _, s := range ss.Spans {
				dumpSpan(&b, s)
			}
		}
	}
	return b.String()
}

func dumpSpan(b *strings.Builder, s *trace.Span) {
	fmt.Fprintf(b, "span %q trace=%x id=%x", s.Name, s.TraceId, s.SpanId)
	if s.TraceState != "" {
		fmt.Fprintf(b, " state=%q", s.TraceState)
	}
	if len(s.ParentSpanId) > 0 {
		fmt.Fprintf(b, " parent=%x", s.ParentSpanId)
	}
	fmt.Fprintf(b, " %s %d..%d\n", strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_"), s.StartTimeUnixNano, s.EndTimeUnixNano)
	if len(s.Attributes) > 0 {
		fmt.Fprintf(b, "  attrs%s\n", attrs(s.Attributes))
	}
	for _, e := range s.Events {
		fmt.Fprintf(b, "  event %d %q%s\n", e.TimeUnixNano, e.Name, attrs(e.Attributes))
	}
	for _, l := range s.Links {
		fmt.Fprintf(b, "  link %x %x%s\n", l.TraceId, l.SpanId, attrs(l.Attributes))
	}
	if s.Status != nil {
		fmt.Fprintf(b, "  status %s %q\n", strings.TrimPrefix(s.Status.Code.String(), "STATUS_CODE_"), s.Status.Message)
	}
}

func attrs(kvs []*common.KeyValue) string {
	var b strings.Builder
	for _, kv := range kvs {
		fmt.Fprintf(&b, " %s=", kv.Key)
		switch v := kv.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			fmt.Fprintf(&b, "%q", v.StringValue)
		case *common.AnyValue_DoubleValue:
			fmt.Fprintf(&b, "double(%g)", v.DoubleValue)
		case *common.AnyValue_BytesValue:
			fmt.Fprintf(&b, "0x%s", hex.EncodeToString(v.BytesValue))
		case *common.AnyValue_IntValue:
			fmt.Fprintf(&b, "%d", v.IntValue)
		case *common.AnyValue_BoolValue:
			fmt.Fprintf(&b, "%t", v.BoolValue)
		default:
			fmt.Fprintf(&b, "%T", v)
		}
	}
	return b.String()
}

// Case is a case of a file: "=== name", the input, "---", and the output.
type Case struct{ Name, Input, Want string }

// Cases returns the cases of a file, and the text before them.
func Cases(t testing.TB, file string) (head string, all []Case) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(raw), "=== ")
	for chunk := range strings.SplitSeq(rest, "\n=== ") {
		name, chunk, _ := strings.Cut(chunk, "\n")
		input, want, ok := strings.Cut(chunk, "\n---\n")
		if !ok {
			t.Fatalf("%s: case %q has no ---", file, name)
		}
		all = append(all, Case{name, input, strings.TrimSpace(want)})
	}
	return head, all
}

// Run compares f's output for each input in a file with the output in the file.
func Run(t *testing.T, file string, f func(t *testing.T, input string) string) {
	t.Helper()
	head, all := Cases(t, file)
	var out strings.Builder
	out.WriteString(head)
	for _, c := range all {
		t.Run(c.Name, func(t *testing.T) {
			got := f(t, c.Input)
			if !*update && strings.TrimSpace(got) != c.Want {
				t.Errorf("got:\n%s\nwant:\n%s", got, c.Want)
			}
			fmt.Fprintf(&out, "=== %s\n%s\n---\n%s\n", c.Name, c.Input, strings.TrimSpace(got)+"\n")
		})
	}
	if *update {
		if err := os.WriteFile(file, []byte(strings.TrimSpace(out.String())+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// AllocatedBy measures the bytes that f allocates. It does not work in parallel tests.
func AllocatedBy(f func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}
