package scenario

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"etude/internal/spantest"
)

func options() Options {
	return Options{Now: time.Unix(1_000, 0), Rand: rand.New(rand.NewPCG(1, 2))}
}

// TestDraw reads testdata/draw.txt: a drawing, and the OTLP as text or the error.
func TestDraw(t *testing.T) {
	t.Parallel()
	spantest.Run(t, "testdata/draw.txt", func(t *testing.T, input string) string {
		drawn, err := Draw(input, options())
		if err != nil {
			return "error: " + err.Error()
		}
		return spantest.Dump(&collector.ExportTraceServiceRequest{ResourceSpans: drawn.Data.ResourceSpans})
	})
}

func FuzzDraw(f *testing.F) {
	_, cases := spantest.Cases(f, "testdata/draw.txt")
	for _, c := range cases {
		f.Add(c.Input)
	}
	f.Fuzz(func(t *testing.T, text string) {
		drawn, err := Draw(text, options())
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Error("an error without words")
			}
			return
		}
		if n := len(drawn.Data.ResourceSpans); n == 0 {
			t.Error("a drawing without spans, and no error")
		}
		// Text that is no UTF-8 cannot be sent; a drawing comes from a file of the binary.
		_, _ = proto.Marshal(drawn.Data)
	})
}
