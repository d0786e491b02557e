package api_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/api"
	"etude/internal/testkit"
	"etude/otlp"
	"etude/query"
	"etude/store"
	"etude/trace"
)

// conformanceCase is one line of a case file; testdata/conformance/README.md.
type conformanceCase struct {
	ID     string            `json:"id"`
	Group  string            `json:"group"`
	Path   string            `json:"path"`
	Params map[string]string `json:"params"`
	Accept string            `json:"accept"`
	Kind   string            `json:"kind"`
	Want   map[string]any    `json:"want"`
}

// TestConformance asks what was asked of Tempo 3.0.3, with the option that relates
// spans as Tempo does; [TestConformanceByIDs] asks without. Cases in a group that
// testdata/unsupported.txt does not list must pass, and so must every case of a
// listed group but those it names. What one growing table answers is judged. In
// however the store holds the same spans, the answer has the same bytes;
// only if they came in another order, and so are summed up and picked in another,
// the answer may be another that passes.
func TestConformance(t *testing.T) {
	t.Parallel()
	unsupported := readUnsupported(t, "testdata/unsupported.txt")
	base := (time.Now().Unix() - 480) / 60 * 60
	sets := []string{"small", "medium", "large"}
	if testing.Short() {
		sets = sets[:1]
	}
	totals := map[string][2]int{}
	for _, set := range sets {
		load := payloadsOf(t, set, base)
		h := newServer(tablesOf(t, load, 1))
		others := layouts(t, load)
		sorted := newServer(tablesOf(t, sortedByTrace(t, load), 1))
		blocks := blockLayouts(t, load)
		for line := range readLines(t, set+".cases.jsonl.gz") {
			var c conformanceCase
			if err := json.Unmarshal(line, &c); err != nil {
				t.Fatal(err)
			}
			w := askCase(h, &c, base)
			diff := judgeCase(w, &c, base)
			n := totals[c.Group]
			n[1]++
			if diff == "" {
				n[0]++
			}
			totals[c.Group] = n
			unsupported.judge(t, &c, diff)
			for _, o := range others {
				got := askCase(o.h, &c, base)
				if sameAnswer(got, w) || o.reordered && unsupported.judge(t, &c, judgeCase(got, &c, base)) {
					continue
				}
				t.Errorf("%s (%s) %s %v: %s answers otherwise: %d %s", c.ID, c.Group, c.Path, c.Params, o.name, got.Code, firstDifference(got.Body.String(), w.Body.String()))
			}
			compareBlocks(t, &c, base, sorted, blocks, unsupported)
		}
	}
	report(t, totals)
	if !testing.Short() {
		unsupported.unused(t)
	}
}

// layout is a server over spans that the store holds in one of the ways that
// they may.
type layout struct {
	name      string
	h         http.Handler
	reordered bool // the spans came in another order
}

// layouts returns all ways but one growing table: that table sealed; a table whose
// attribute keys share columns; the spans of
// each trace spread over three tables; a store that has filled and sealed several
// tables and continues with another; that store closed and opened again, with
// what it has read back from its log; and parts that are opened with the declared
// columns alone, also many of them.
func layouts(t *testing.T, load [][]byte) []layout {
	sealed := growingTables(t, load, 1)
	sealed[0].Seal()
	o := store.Options{Dir: t.TempDir(), TableSpans: countSpans(load)/3 + 1, Sync: store.SyncInterval}
	filled := openStore(t, o)
	for _, payload := range load {
		if _, err := filled.Append(t.Context(), payload); err != nil {
			t.Fatal(err)
		}
	}
	tables := viewsIn(t, filled)
	if len(tables) < 3 {
		t.Fatalf("the store has %d tables, want several", len(tables))
	}
	if err := filled.Close(); err != nil {
		t.Fatal(err)
	}
	o.TableAge = 1 // do not join what was several tables
	again := openStore(t, o)
	t.Cleanup(func() { _ = again.Close() })
	if got := again.Stats(); got.Replayed != int64(countSpans(load)) || got.Damaged != 0 {
		t.Fatalf("the store has read back %d spans of %d, %d damaged", got.Replayed, countSpans(load), got.Damaged)
	}
	if n := len(viewsIn(t, again)); n != len(tables) {
		t.Fatalf("the store has %d tables again, want %d", n, len(tables))
	}
	return []layout{
		{"a sealed table", newServer(viewsOf(sealed)), false},
		{"a table of shared columns", newServer(viewsOf(sharedColumns(t, load))), false},
		{"three tables", newServer(tablesOf(t, load, 3)), true},
		{"a store of sealed tables", newServer(tables), false},
		{"a store opened again", newServer(again), false},
		{"parts on disk", newServer(testkit.Cold{Views: testkit.Views(tables)}), false},
		{"many parts on disk and one in memory", newServer(testkit.Cold{Views: testkit.Views(tablesOf(t, load, 12)), Warm: 1}), true},
	}
}

// viewsIn returns the Views of a store.
func viewsIn(t *testing.T, s *store.Store) (all views) {
	snap, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	for i := range snap.Parts() {
		v, err := snap.Open(t.Context(), i, trace.Everything())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	return all
}

// inspected is how many spans were read, which depends on the parts they are in.
var inspected = regexp.MustCompile(`,?"inspectedSpans":"[0-9]+"`)

func sameAnswer(a, b *httptest.ResponseRecorder) bool {
	if a.Code != b.Code || a.Header().Get("Content-Type") != b.Header().Get("Content-Type") {
		return false
	}
	if bytes.Equal(a.Body.Bytes(), b.Body.Bytes()) {
		return true
	}
	return bytes.Equal(inspected.ReplaceAll(a.Body.Bytes(), nil), inspected.ReplaceAll(b.Body.Bytes(), nil))
}

func openStore(t *testing.T, o store.Options) *store.Store {
	s, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func countSpans(load [][]byte) (n int) {
	for _, payload := range load {
		_, stats, _ := otlp.Validate(payload)
		n += stats.Spans
	}
	return n
}

// firstDifference shows where two answers part.
func firstDifference(got, want string) string {
	n := 0
	for n < min(len(got), len(want)) && got[n] == want[n] {
		n++
	}
	from := max(0, n-100)
	return fmt.Sprintf("at byte %d: %.300s\nwant: %.300s", n, got[from:], want[from:])
}

func report(t *testing.T, totals map[string][2]int) {
	groups := make([]string, 0, len(totals))
	passed, all := 0, 0
	for g, n := range totals {
		groups = append(groups, g)
		passed, all = passed+n[0], all+n[1]
	}
	slices.Sort(groups)
	for _, g := range groups {
		t.Logf("%-32s %d/%d", g, totals[g][0], totals[g][1])
	}
	t.Logf("all %d/%d", passed, all)
}

// exceptions are the groups and cases that may fail, by name.
type exceptions struct {
	reason map[string]string
	failed map[string]bool
}

// readUnsupported reads lines "group-or-case reason...".
func readUnsupported(t *testing.T, files ...string) *exceptions {
	text, err := readAll(files)
	if err != nil {
		t.Fatal(err)
	}
	e := &exceptions{reason: map[string]string{}, failed: map[string]bool{}}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, reason, ok := strings.Cut(line, " ")
		if !ok {
			t.Fatalf("%v: %s has no reason", files, name)
		}
		e.reason[name] = reason
	}
	return e
}

// judge reports whether a case passes or is among the exceptions.
func (e *exceptions) judge(t *testing.T, c *conformanceCase, diff string) bool {
	if diff == "" {
		return true
	}
	e.failed[c.ID], e.failed[c.Group] = true, true
	if e.reason[c.ID] == "" && e.reason[c.Group] == "" {
		t.Errorf("%s (%s) %s %v: %s", c.ID, c.Group, c.Path, c.Params, diff)
		return false
	}
	return true
}

// unused finds entries whose case no longer fails.
func (e *exceptions) unused(t *testing.T) {
	for name := range e.reason {
		if !e.failed[name] {
			t.Errorf("an exception is made for %s, but it passes", name)
		}
	}
}

func readAll(files []string) (all []byte, err error) {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		all = append(all, text...)
	}
	return all, nil
}

// TestConformanceByIDs asks the same without that option: a span below no root is
// related, too. testdata/incomplete.txt lists the cases that this changes, all of
// them with a structural operator.
func TestConformanceByIDs(t *testing.T) {
	t.Parallel()
	listed := readUnsupported(t, "testdata/unsupported.txt", "testdata/incomplete.txt")
	base := (time.Now().Unix() - 480) / 60 * 60
	passed, all := 0, 0
	for _, set := range []string{"small", "medium", "large"} {
		h := serverOf(tablesOf(t, payloadsOf(t, set, base), 1), query.Options{})
		for line := range readLines(t, set+".cases.jsonl.gz") {
			var c conformanceCase
			if err := json.Unmarshal(line, &c); err != nil {
				t.Fatal(err)
			}
			diff := judgeCase(askCase(h, &c, base), &c, base)
			if all++; diff == "" {
				passed++
			}
			listed.judge(t, &c, diff)
		}
	}
	t.Logf("%d of %d as recorded", passed, all)
	listed.unused(t)
}

type views []*trace.View

func (v views) Snapshot(ctx context.Context) (trace.Snapshot, error) {
	return testkit.Views(v).Snapshot(ctx)
}

func newServer(src trace.Source) http.Handler {
	return serverOf(src, query.Options{TempoStructure: true})
}

func serverOf(src trace.Source, o query.Options) http.Handler {
	return api.New(api.Options{Engine: query.New(src, o), Version: "test"})
}

func readLines(t *testing.T, name string) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		f, err := os.Open(filepath.Join("..", "testdata", "conformance", name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(z)
		lines.Buffer(nil, 1<<26)
		for lines.Scan() {
			if !yield(lines.Bytes()) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// loadSet reads a data set into tables.
func loadSet(t *testing.T, set string, base int64, tables int) views {
	return tablesOf(t, payloadsOf(t, set, base), tables)
}

// payloadsOf reads the requests of a data set.
func payloadsOf(t *testing.T, set string, base int64) (load [][]byte) {
	for line := range readLines(t, set+".data.otlp.json.gz") {
		var request map[string]any
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&request); err != nil {
			t.Fatal(err)
		}
		shiftTimes(request, base*1e9)
		load = append(load, payloadOf(t, request))
	}
	return load
}

func payloadOf(t *testing.T, request any) []byte {
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := otlp.FromJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := otlp.Validate(payload); err != nil {
		t.Fatal(err)
	}
	return payload
}

func tablesOf(t *testing.T, load [][]byte, tables int) views {
	return viewsOf(growingTables(t, load, tables))
}

func viewsOf(tables []*trace.Table) (out views) {
	for _, table := range tables {
		out = append(out, table.View())
	}
	return out
}

// growingTables fills tables. With several, the first resources of each trace go
// into the first and so on: most traces are split, and the order in which their
// spans arrived is kept.
func growingTables(t *testing.T, load [][]byte, tables int) []*trace.Table {
	all := make([]*trace.Table, tables)
	for i := range all {
		all[i] = trace.NewTable()
	}
	for _, payload := range load {
		parts := [][]byte{payload}
		if tables > 1 {
			parts = resourcesOf(payload)
		}
		for i, part := range parts {
			if _, err := otlp.Append(all[i*tables/len(parts)], part, 1); err != nil {
				t.Fatal(err)
			}
		}
	}
	return all
}

// sharedColumns is growingTables, one table, in which nearly all attribute keys
// share columns.
func sharedColumns(t *testing.T, load [][]byte) []*trace.Table {
	table := trace.NewTable()
	table.Limit(trace.Limits{Columns: 2})
	for _, payload := range load {
		if _, err := otlp.Append(table, payload, 1); err != nil {
			t.Fatal(err)
		}
	}
	if table.Losses().SharedColumns < 5 {
		t.Fatalf("%d shared columns", table.Losses().SharedColumns)
	}
	return []*trace.Table{table}
}

// resourcesOf cuts a request into one for each resource.
func resourcesOf(payload []byte) (parts [][]byte) {
	for len(payload) > 0 {
		_, _, n := protowire.ConsumeField(payload)
		parts, payload = append(parts, payload[:n]), payload[n:]
	}
	return parts
}

func appendJSON(t *testing.T, table *trace.Table, request any) {
	if _, err := otlp.Append(table, payloadOf(t, request), 1); err != nil {
		t.Fatal(err)
	}
}

// shiftTimes adds an offset to every time in the tree.
func shiftTimes(v any, offset int64) {
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			if strings.HasSuffix(key, "imeUnixNano") {
				n, _ := strconv.ParseInt(fmt.Sprint(member), 10, 64)
				v[key] = strconv.FormatInt(n+offset, 10)
				continue
			}
			shiftTimes(member, offset)
		}
	case []any:
		for _, element := range v {
			shiftTimes(element, offset)
		}
	}
}

func askCase(h http.Handler, c *conformanceCase, base int64) *httptest.ResponseRecorder {
	values := url.Values{}
	for name, value := range c.Params {
		values.Set(name, resolveTime(value, base))
	}
	target := c.Path
	if len(values) > 0 {
		target += "?" + values.Encode()
	}
	r := httptest.NewRequest(http.MethodGet, target, nil)
	if c.Accept != "" {
		r.Header.Set("Accept", c.Accept)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// judgeCase returns what is different from the recorded answer, "" for nothing.
func judgeCase(w *httptest.ResponseRecorder, c *conformanceCase, base int64) string {
	wantStatus := int(c.Want["status"].(float64))
	if w.Code != wantStatus {
		return fmt.Sprintf("status %d, want %d: %s", w.Code, wantStatus, w.Body)
	}
	if w.Code != http.StatusOK {
		return ""
	}
	got, err := normalise(c.Kind, w.Body.Bytes(), base)
	if err != nil {
		return err.Error()
	}
	want := map[string]any{}
	for key, value := range c.Want {
		if key != "status" {
			want[key] = value
		}
	}
	if strings.HasSuffix(c.Kind, "-compare") || strings.HasSuffix(c.Kind, "-top") {
		got = forCompare(got, want, strings.HasSuffix(c.Kind, "-top"))
	}
	return difference("", toJSON(got), want)
}

// resolveTime replaces a time relative to the base.
func resolveTime(value string, base int64) string {
	kind, offset, ok := strings.Cut(value, ":")
	n, err := strconv.ParseInt(offset, 10, 64)
	if !ok || err != nil {
		return value
	}
	switch kind {
	case "@s":
		return strconv.FormatInt(base+n, 10)
	case "@ns":
		return strconv.FormatInt((base+n)*1e9, 10)
	case "@rfc":
		return time.Unix(base+n, 0).UTC().Format(time.RFC3339)
	}
	return value
}

// toJSON brings a value into the form that encoding/json decodes to.
func toJSON(v any) any {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		return err.Error()
	}
	return out
}

// difference names the first place where two JSON values differ.
func difference(at string, got, want any) string {
	g, gotObject := got.(map[string]any)
	w, wantObject := want.(map[string]any)
	if gotObject && wantObject {
		for _, key := range sortedKeys(g, w) {
			if _, ok := g[key]; !ok {
				return fmt.Sprintf("%s/%s is missing, want %s", at, key, short(w[key]))
			}
			if _, ok := w[key]; !ok {
				return fmt.Sprintf("%s/%s is unwanted: %s", at, key, short(g[key]))
			}
			if d := difference(at+"/"+key, g[key], w[key]); d != "" {
				return d
			}
		}
		return ""
	}
	if a, ok := got.(float64); ok {
		if b, ok := want.(float64); ok && math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) {
			return ""
		}
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Sprintf("%s is %s, want %s", at, short(got), short(want))
	}
	return ""
}

func sortedKeys(maps ...map[string]any) (keys []string) {
	for _, m := range maps {
		for key := range m {
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	return keys
}

func short(v any) string {
	text, _ := json.Marshal(v)
	if len(text) > 400 {
		return string(text[:400]) + "..."
	}
	return string(text)
}
