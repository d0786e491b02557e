package supervise

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestPrefixerKeepsLinesWhole(t *testing.T) {
	t.Parallel()
	parts := []*Part{{Name: "edge"}, {Name: "uservice1"}}
	var out bytes.Buffer
	x := NewOutput(&out, parts, false, nil)
	edge, service := x.writer(parts[0]), x.writer(parts[1])
	fmt.Fprint(edge, "one ")
	fmt.Fprint(service, "a\nb\nc")
	fmt.Fprint(edge, "line\n")
	service.flush()
	edge.flush()
	want := "uservice1 | a\nuservice1 | b\nedge      | one line\nuservice1 | c\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

func TestPrefixerColoursOnlyWhenTold(t *testing.T) {
	t.Parallel()
	for _, color := range []bool{false, true} {
		var out bytes.Buffer
		x := NewOutput(&out, []*Part{{Name: "edge"}}, color, nil)
		fmt.Fprintln(x.writer(&Part{Name: "edge"}), "text")
		if got := strings.Contains(out.String(), "\x1b["); got != color {
			t.Errorf("colour %v: %q", color, out.String())
		}
	}
}

func TestPrefixerCutsEndlessLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	x := NewOutput(&out, []*Part{{Name: "edge"}}, false, nil)
	fmt.Fprint(x.writer(&Part{Name: "edge"}), strings.Repeat("x", maxLine+5))
	if n := strings.Count(out.String(), "\n"); n != 1 {
		t.Errorf("%d lines, want the full one passed on and the rest kept", n)
	}
}
