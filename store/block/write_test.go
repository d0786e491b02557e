package block

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"

	"etude/internal/testkit"
	"etude/otlp"
	"etude/store/block/layout"
	"etude/trace"
)

// dataBase is what the times of the data sets count from.
const dataBase = 1795898580

// dataSets are what the real blocks were written from.
var dataSets = map[string]string{"v4": "small", "v5": "small", "v5dedicated": "small", "v5groups": "large", "weird": "", "weird4": ""}

// dataOf returns the spans that a real block was written from.
func dataOf(t testing.TB, name string) *trace.View {
	t.Helper()
	file := filepath.Join("..", "..", "testdata", "conformance", dataSets[name]+".data.otlp.json.gz")
	if dataSets[name] == "" {
		file = filepath.Join("testdata", "tempo", "weird.otlp.json.gz")
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if dataSets[name] != "" {
		text = rebase(text)
	}
	if name == "weird" { // It was written 23 minutes before weird4.
		text = regexp.MustCompile(`"1795901(\d+)`).ReplaceAllFunc(text, func(b []byte) []byte {
			n, _ := strconv.ParseUint(string(b[1:]), 10, 64)
			return strconv.AppendUint([]byte(`"`), n-1380e9, 10)
		})
	}
	return viewOf(t, text)
}

// rebase adds dataBase to times that count from 0.
func rebase(text []byte) []byte {
	return regexp.MustCompile(`(UnixNano": ?")(\d+)`).ReplaceAllFunc(text, func(b []byte) []byte {
		at := bytes.LastIndexByte(b, '"') + 1
		n, _ := strconv.ParseUint(string(b[at:]), 10, 64)
		if n < dataBase*1e9 {
			n += dataBase * 1e9
		}
		return strconv.AppendUint(b[:at:at], n, 10)
	})
}

func viewOf(t testing.TB, json []byte) *trace.View {
	t.Helper()
	table := trace.NewTable()
	for _, line := range bytes.Split(bytes.TrimSpace(json), []byte("\n")) {
		payload, err := otlp.FromJSON(line)
		if err != nil {
			t.Fatal(err)
		}
		valid, _, err := otlp.Validate(payload)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := otlp.Append(table, valid, 1); err != nil {
			t.Fatal(err)
		}
	}
	return table.View()
}

// readRows reads a file row by row into nested values, with a reader that is not ours.
func readRows(t testing.TB, f *parquet.File) (all []map[string]any) {
	t.Helper()
	r := parquet.NewGenericReader[map[string]any](f, f.Schema())
	defer r.Close()
	rows := make([]map[string]any, f.NumRows())
	for i := range rows {
		rows[i] = map[string]any{}
	}
	n, err := r.Read(rows)
	if n != len(rows) || err != nil && err != io.EOF {
		t.Fatalf("read %d rows of %d: %v", n, len(rows), err)
	}
	return rows
}

// ownWay are strange traces that we keep in another way than Tempo, and why.
var ownWay = map[string]string{
	`"a0000000000000000000000000000016"`: "equal resources with other dropped counts stay apart",
	`"a0000000000000000000000000000019"`: "a kind that OTLP does not know is 255",
	`"a000000000000000000000000000001d"`: "Tempo cuts texts at 2,048 bytes when it receives them",
}

func TestWriteAgainFromTheSameData(t *testing.T) {
	t.Parallel()
	for _, name := range testkit.TempoBlocks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := realBlock(t, name)
			m := mustMeta(t, dir)
			tenant := t.TempDir()
			metas, err := Write(context.Background(), WriteOptions{Dir: tenant, Format: m.Format, Dedicated: m.Dedicated}, []*trace.View{dataOf(t, name)})
			if err != nil {
				t.Fatal(err)
			}
			sentTwice := 0 // spans of one id, kind and start are one span here
			want := readRows(t, openParquet(t, dir))
			got := readRows(t, openParquet(t, Folder(tenant, metas[0].ID)))
			if len(got) != len(want) {
				t.Fatalf("%d rows, want %d", len(got), len(want))
			}
			for i := range want {
				if why := ownWay[shown(want[i]["TraceIDText"])]; dataSets[name] == "" && why != "" {
					continue
				}
				ours, tempos := describe(got[i]), describe(want[i])
				if len(ours) < len(tempos) && dataSets[name] == "" {
					sentTwice++
				} else if !slices.Equal(ours, tempos) {
					t.Errorf("trace %d (-Tempo's +ours):\n%s", i, cmp.Diff(tempos, ours))
				}
			}
			if want := map[bool]int{true: 2}[dataSets[name] == ""]; sentTwice != want {
				t.Errorf("%d traces have a span that is sent twice by our rule, want %d", sentTwice, want)
			}
		})
	}
}

// describe lists the facts of a trace in an order that no writer chooses: Tempo
// joins equal resources and scopes, and sorts their attributes.
func describe(row map[string]any) (facts []string) {
	for key, v := range row {
		if key != "rs" && key != layout.ExtraColumn && key != "ServiceStats" {
			facts = append(facts, fmt.Sprint(key, "=", shown(v)))
		}
	}
	slices.Sort(facts)
	return append(facts, describeSpans(row)...)
}

func describeSpans(row map[string]any) (facts []string) {
	type spanAt struct {
		fields map[string]any
		around string
	}
	var spans []spanAt
	byLeft := map[string]string{}
	for _, rs := range listOf(row["rs"]) {
		resource := describeGroup(rs["Resource"].(map[string]any))
		for _, ss := range listOf(rs["ss"]) {
			around := resource + " / " + describeGroup(ss["Scope"].(map[string]any))
			for _, span := range listOf(ss["Spans"]) {
				spans = append(spans, spanAt{span, around})
				byLeft[fmt.Sprint(span["NestedSetLeft"])] = shown(span["SpanID"]) + fmt.Sprint(span["Kind"])
			}
		}
	}
	delete(byLeft, "0")
	rooted := false
	for _, s := range spans {
		rooted = rooted || shown(s.fields["ParentSpanID"]) == `""`
	}
	for _, s := range spans {
		fields := maps.Clone(s.fields)
		fields["parent"] = byLeft[fmt.Sprint(fields["ParentID"])]
		fields["reached"] = fmt.Sprint(fields["NestedSetLeft"]) != "0"
		fields["root"] = fmt.Sprint(fields["ParentID"]) == "-1"
		for _, order := range []string{"NestedSetLeft", "NestedSetRight", "ParentID"} {
			delete(fields, order)
		}
		if !rooted {
			delete(fields, "ChildCount") // Tempo writes noise here.
		}
		facts = append(facts, describeGroup(fields)+" in "+s.around)
	}
	slices.Sort(facts)
	return facts
}

func listOf(v any) (all []map[string]any) {
	switch v := v.(type) {
	case []map[string]any:
		return v
	case []any:
		for _, one := range v {
			all = append(all, one.(map[string]any))
		}
	case map[string]any: // LIST
		for _, one := range listOf(v["list"]) {
			all = append(all, one["element"].(map[string]any))
		}
	}
	return all
}

func describeGroup(fields map[string]any) string {
	var facts []string
	for key, v := range fields {
		if key == "Attrs" {
			var attrs []string
			for _, a := range listOf(v) {
				attrs = append(attrs, shown(a))
			}
			slices.Sort(attrs)
			v = attrs
		}
		facts = append(facts, key+"="+shown(v))
	}
	slices.Sort(facts)
	return strings.Join(facts, " ")
}

func shown(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case []byte:
		return fmt.Sprintf("%q", v)
	case map[string]any:
		return "{" + describeGroupInOrder(v) + "}"
	case []any:
		var all []string
		for _, one := range v {
			all = append(all, shown(one))
		}
		return strings.Join(all, ",")
	}
	return fmt.Sprint(v)
}

func describeGroupInOrder(fields map[string]any) string {
	var facts []string
	for key, v := range fields {
		facts = append(facts, key+"="+shown(v))
	}
	slices.Sort(facts)
	return strings.Join(facts, " ")
}
