package block

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"etude/internal/fs"
	"etude/internal/testkit"
	"etude/otlp"
	"etude/trace"
)

// realBase is added to the times of the data sets: real blocks were written with it.
const realBase = 1795898580 * 1_000_000_000

// realData are the data from which the blocks were written.
var realData = map[string]string{
	"v4": "../../testdata/conformance/small.data.otlp.json.gz", "v5": "../../testdata/conformance/small.data.otlp.json.gz",
	"v5dedicated": "../../testdata/conformance/small.data.otlp.json.gz", "v5groups": "../../testdata/conformance/large.data.otlp.json.gz",
	"weird": "testdata/tempo/weird.otlp.json.gz", "weird4": "testdata/tempo/weird.otlp.json.gz",
}

// A block that Tempo wrote has the spans from which it was written, but for what
// Tempo itself did not keep: testdata/NAME.lost.txt lists it, or there is none.
func TestReadsTemposBlocks(t *testing.T) {
	t.Parallel()
	for _, name := range testkit.TempoBlocks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base := uint64(realBase)
			switch name {
			case "weird4":
				base = 0
			case "weird":
				base = ^uint64(1380*1_000_000_000) + 1 // it was sent 23 minutes earlier
			}
			want := dumpView(tableOf(t, realData[name], base))
			got := map[string][]string{}
			b := openBlock(t, realBlock(t, name))
			for i := range b.parts {
				v, err := b.parts[i].open(context.Background(), trace.Everything())
				if err != nil {
					t.Fatal(err)
				}
				checkTraceTimes(t, v)
				for id, spans := range dumpView(v) {
					if got[id] != nil {
						t.Errorf("trace %s lies in two row groups", id)
					}
					got[id] = spans
				}
			}
			wantFile(t, filepath.Join("testdata", name+".lost.txt"), lost(want, got))
			if len(got) != int(b.Meta.Traces) {
				t.Errorf("%d traces, %s says %d", len(got), MetaName, b.Meta.Traces)
			}
		})
	}
}

// checkTraceTimes compares the columns of traces with what the spans say.
func checkTraceTimes(t *testing.T, v *trace.View) {
	if v.TraceStart == nil {
		if odd := slices.ContainsFunc(v.Start, func(s uint64) bool { return s == 0 }); !odd {
			t.Error("the times of traces were not read")
		}
		return
	}
	for number := range v.TraceIDs {
		start, end := uint64(math.MaxUint64), uint64(0)
		for row := range v.Rows(uint32(number)) {
			start, end = min(start, v.Began(row)), max(end, v.End[row], v.Began(row))
		}
		if v.TraceStart[number] != start || v.TraceEnd[number] != end {
			t.Errorf("trace %s is said to last from %d to %d: it does from %d to %d", v.TraceIDs[number], v.TraceStart[number], v.TraceEnd[number], start, end)
		}
	}
}

var update = flag.Bool("update", false, "write the files in testdata anew")

// wantFile compares with a file that is not there when it would be empty.
func wantFile(t testing.TB, name string, got []byte) {
	t.Helper()
	if *update {
		os.Remove(name)
		if len(got) > 0 {
			if err := os.WriteFile(name, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	want, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-file +got):\n%s", name, diff)
	}
}

// lost lists the spans that were sent and not read, or the other way round: of two
// that belong together the lines that differ.
func lost(sent, read map[string][]string) []byte {
	var w bytes.Buffer
	for _, id := range slices.Sorted(maps.Keys(read)) {
		for _, side := range []struct {
			sign         string
			mine, others []string
		}{{"-", sent[id], read[id]}, {"+", read[id], sent[id]}} {
			for i, span := range side.mine {
				if slices.Contains(side.others, span) {
					continue
				}
				other := ""
				if len(side.mine) == len(side.others) {
					other = side.others[i]
				}
				for line := range strings.Lines(span) {
					if !strings.Contains(other, line) {
						fmt.Fprintf(&w, "%s %s%s", id, side.sign, longRun.ReplaceAllStringFunc(line, func(s string) string { return fmt.Sprintf("%s...%d", s[:1], len(s)) }))
					}
				}
			}
		}
	}
	return w.Bytes()
}

// longRun is text that says no more when it is cut.
var longRun = regexp.MustCompile(`v{50,}|w{50,}|k{50,}|[a-z]{100,}`)

var resourceNumber = regexp.MustCompile(`resource \d+:`)

// openBlock opens a copy of a block.
func openBlock(t testing.TB, dir string) *Block {
	t.Helper()
	copied := filepath.Join(t.TempDir(), filepath.Base(dir))
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	dir = copied
	b, err := Open(context.Background(), fs.OS, dir, NewCache(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// tableOf loads OTLP/JSON lines with times moved by base.
func tableOf(t testing.TB, name string, base uint64) *trace.View {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	table := trace.NewTable()
	lines := bufio.NewReader(z)
	for {
		line, err := lines.ReadBytes('\n')
		if len(bytes.TrimSpace(line)) == 0 {
			break
		}
		payload, jsonErr := otlp.FromJSON(moved(t, line, base))
		if jsonErr != nil {
			t.Fatal(jsonErr)
		}
		valid, _, jsonErr := otlp.Validate(payload)
		if jsonErr != nil {
			t.Fatal(jsonErr)
		}
		if _, err := otlp.Append(table, valid, 1); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			break
		}
	}
	return table.View()
}

// moved adds base to every time of a request.
func moved(t testing.TB, line []byte, base uint64) []byte {
	if base == 0 {
		return line
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for key, e := range v {
				if strings.HasSuffix(key, "UnixNano") && fmt.Sprint(e) != "0" {
					var n int64
					fmt.Sscan(fmt.Sprint(e), &n)
					v[key] = fmt.Sprint(uint64(n) + base)
				} else {
					walk(e)
				}
			}
		}
	}
	walk(v)
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// dumpView writes each span of each trace in words, sorted; attributes sorted by key.
func dumpView(v *trace.View) map[string][]string {
	all := map[string][]string{}
	for row := range uint32(v.Spans()) {
		id := v.TraceIDs[v.Trace[row]].String()
		all[id] = append(all[id], dumpSpan(v, row))
	}
	for _, spans := range all {
		slices.Sort(spans)
	}
	return all
}

func dumpSpan(v *trace.View, row uint32) string {
	var w strings.Builder
	fmt.Fprintf(&w, "%s<%s %q kind %d status %d %q state %q from %d to %d dropped %d %d %d\n", v.SpanID[row], v.Parent[row], v.Text(v.Name[row]), v.Kind[row], v.Status[row],
		v.Text(v.StatusMessage.Get(row)), v.Text(v.TraceState.Get(row)), v.Start[row], v.End[row], v.DroppedAttrs.Get(row), v.DroppedEvents.Get(row), v.DroppedLinks.Get(row))
	scope := v.Scope[row]
	resource := v.ScopeResource[scope]
	fmt.Fprintf(&w, " scope %q %q %d %s\n", v.Text(v.ScopeName[scope]), v.Text(v.ScopeVersion[scope]), v.ScopeDropped[scope], dumpAttrs(&v.ScopeAttrs, scope))
	fmt.Fprintf(&w, " resource %d %s\n %s\n", v.ResourceDropped[resource], dumpAttrs(&v.ResourceAttrs, resource), dumpAttrs(&v.SpanAttrs, row))
	for event, to := v.Events(row); event < to; event++ {
		fmt.Fprintf(&w, " event %d %q %d %s\n", v.EventTime[event], v.Text(v.EventName[event]), v.EventDropped.Get(event), dumpAttrs(&v.EventAttrs, event))
	}
	for link, to := v.Links(row); link < to; link++ {
		fmt.Fprintf(&w, " link %s %s %q %d %s\n", v.LinkTraceID[link], v.LinkSpanID[link], v.Text(v.LinkState.Get(link)), v.LinkDropped.Get(link), dumpAttrs(&v.LinkAttrs, link))
	}
	return w.String()
}

func dumpAttrs(a *trace.Attrs, row uint32) string {
	var all []string
	for key, value := range a.Of(row) {
		all = append(all, fmt.Sprintf("%s=%s:%q/%d", key, value.Type, value.Str(), value.Bits()))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
