package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"etude/internal/testkit"
	"etude/otlp"
	"etude/store/block"
	"etude/trace"
)

// TestRandomQueriesOverLayouts asks random searches and metrics queries, and wants the
// same bytes however the spans are held: in the head, in a replayed log, in
// blocks of each format, in merged blocks, and in a mix in which traces straddle blocks
// and the head. ETUDE_RANDOM_QUERIES=10000 asks so many, ETUDE_RANDOM_SEED others.
func TestRandomQueriesOverLayouts(t *testing.T) {
	t.Parallel()
	count, seed := envNumber("ETUDE_RANDOM_QUERIES", 200), envNumber("ETUDE_RANDOM_SEED", 1)
	set := "small"
	if name := os.Getenv("ETUDE_RANDOM_SET"); name != "" {
		set = name
	}
	const base = 1795898580
	load := sortedByTrace(t, payloadsOf(t, set, base))
	groups := []struct {
		one    http.Handler
		others []layout
	}{
		{newServer(tablesOf(t, load, 1)), wholeLayouts(t, load)},
		{newServer(inTurn(t, load, 3)), straddledLayouts(t, load)},
	}
	g := &queryMaker{Rand: rand.New(rand.NewPCG(uint64(seed), 14)), base: base}
	g.learn(t, groups[0].one)
	answered := 0
	for n := range count {
		target := g.target()
		for i, group := range groups {
			want := getFrom(group.one, target)
			if want.Code == http.StatusOK && want.Body.Len() > 200 && i == 0 {
				answered++
			}
			for _, o := range group.others {
				if got := getFrom(o.h, target); !sameAnswer(got, want) && !(o.reordered && sameButInspected(got, want)) {
					text, _ := url.QueryUnescape(target)
					t.Errorf("query %d of seed %d, %s: %s answers otherwise: %d %s", n, seed, text, o.name, got.Code, firstDifference(got.Body.String(), want.Body.String()))
				}
			}
		}
	}
	t.Logf("%d queries, %d with a result", count, answered)
	if answered*4 < count {
		t.Errorf("only %d of %d queries had a result", answered, count)
	}
}

// work is how many spans and traces a search looked at, and not what it found.
var work = regexp.MustCompile(`,?"inspected(Spans|Traces)":"?[0-9]+"?`)

// sameButInspected is for traces that lie in several parts: a search that stops early
// may have looked at more of them.
func sameButInspected(a, b *httptest.ResponseRecorder) bool {
	return a.Code == b.Code && bytes.Equal(work.ReplaceAll(a.Body.Bytes(), nil), work.ReplaceAll(b.Body.Bytes(), nil))
}

func envNumber(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

func getFrom(h http.Handler, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w
}

// wholeLayouts hold the spans in the order of one table.
func wholeLayouts(t *testing.T, load [][]byte) []layout {
	whole := tablesOf(t, load, 1)
	merged := mergedBlocks(t, spreadTables(t, load, 3))
	all := []layout{
		{"a block", newServer(blocksOf(t, block.WriteOptions{}, whole)), false},
		{"a block of vParquet4", newServer(blocksOf(t, block.WriteOptions{Format: block.VParquet4}, whole)), false},
		{"a block of small pages", newServer(blocksOf(t, block.WriteOptions{PageSpans: 20}, whole)), false},
		{"a block of vParquet4 of small pages, with few dedicated columns", newServer(blocksOf(t, block.WriteOptions{PageSpans: 30, Format: block.VParquet4, Dedicated: []block.Dedicated{{Name: "http.method"}}}, whole)), false},
		{"merged blocks", newServer(merged), false},
	}
	for _, o := range layouts(t, load) {
		if !o.reordered {
			all = append(all, o)
		}
	}
	return all
}

// straddledLayouts hold the first spans of all traces, then the next, then the last.
func straddledLayouts(t *testing.T, load [][]byte) []layout {
	spread := spreadTables(t, load, 3)
	all := []layout{
		{"three tables", newServer(spread), true},
		{"three parts on disk", newServer(testkit.Cold{Views: testkit.Views(spread)}), true},
	}
	for _, f := range []block.Format{block.VParquet5, block.VParquet4} {
		mix := blocksOf(t, block.WriteOptions{Format: f}, spread[:1], spread[1:2])
		mix.head = testkit.Views(spread[2:])
		all = append(all, layout{fmt.Sprintf("blocks of %s and the head", f), newServer(mix), true})
		small := blocksOf(t, block.WriteOptions{Format: f, PageSpans: 10}, spread[:1], spread[1:2])
		small.head = testkit.Views(spread[2:])
		all = append(all, layout{fmt.Sprintf("blocks of %s of small pages and the head", f), newServer(small), true})
	}
	again := repeatedTables(t, load, 3)
	twice := blocksOf(t, block.WriteOptions{PageSpans: 25}, again[:1], again[1:2])
	twice.head = testkit.Views(again[2:])
	all = append(all, layout{"blocks and the head, most spans twice", newServer(twice), true})
	return all
}

// inParts calls add with the spans of each trace, in so many parts, the first parts of
// all traces first.
func inParts(load [][]byte, tables int, add func(table int, part []byte)) {
	for table := range tables {
		for _, payload := range load {
			parts := resourcesOf(payload)
			for i, part := range parts {
				if i*tables/len(parts) == table {
					add(table, part)
				}
			}
		}
	}
}

// spreadTables spreads the spans of each trace over tables.
func spreadTables(t *testing.T, load [][]byte, tables int) views {
	all := make([]*trace.Table, tables)
	for i := range all {
		all[i] = trace.NewTable()
	}
	inParts(load, tables, func(table int, part []byte) {
		if _, err := otlp.Append(all[table], part, int64(1+table)); err != nil {
			t.Fatal(err)
		}
	})
	return viewsOf(all)
}

// repeatedTables are as spreadTables, but that each table has the spans of the one before again.
func repeatedTables(t *testing.T, load [][]byte, tables int) views {
	all := make([]*trace.Table, tables)
	for i := range all {
		all[i] = trace.NewTable()
	}
	inParts(load, tables, func(table int, part []byte) {
		for n := table; n < min(table+2, tables); n++ {
			if _, err := otlp.Append(all[n], part, int64(1+n)); err != nil {
				t.Fatal(err)
			}
		}
	})
	return viewsOf(all)
}

// inTurn is one table that got the spans in the order of spreadTables.
func inTurn(t *testing.T, load [][]byte, tables int) views {
	one := trace.NewTable()
	inParts(load, tables, func(table int, part []byte) {
		if _, err := otlp.Append(one, part, int64(1+table)); err != nil {
			t.Fatal(err)
		}
	})
	return viewsOf([]*trace.Table{one})
}

// mergedBlocks is one block, compacted from a block for each View.
func mergedBlocks(t *testing.T, all views) *blocksAnd {
	var lists [][]*trace.View
	for i := range all {
		lists = append(lists, all[i:i+1])
	}
	inputs := blocksOf(t, block.WriteOptions{}, lists...)
	ids := make([]block.ID, 0, len(all))
	for _, m := range inputs.set.Blocks() {
		ids = append(ids, m.ID)
	}
	open, release := inputs.set.Hold(ids)
	defer release()
	dir := t.TempDir()
	metas, err := block.Compact(t.Context(), block.WriteOptions{Dir: dir}, open)
	if err != nil {
		t.Fatal(err)
	}
	return openBlocks(t, dir, metas)
}

// queryMaker makes requests out of the attributes and values that there are.
type queryMaker struct {
	*rand.Rand
	base   int64
	fields []string
	values map[string][]string // as literals
}

// learn asks which attributes and values there are.
func (g *queryMaker) learn(t *testing.T, h http.Handler) {
	var tags struct {
		Scopes []struct {
			Name string
			Tags []string
		}
	}
	decode(t, getFrom(h, "/api/v2/search/tags"), &tags)
	g.values = map[string][]string{}
	for _, scope := range tags.Scopes {
		for _, name := range scope.Tags {
			field := scope.Name + "." + name
			if scope.Name == "intrinsic" {
				field = name
			}
			if strings.ContainsAny(field, " \"") {
				continue
			}
			var found struct {
				TagValues []struct{ Type, Value string }
			}
			w := getFrom(h, "/api/v2/search/tag/"+url.PathEscape(field)+"/values")
			if w.Code != http.StatusOK {
				continue
			}
			decode(t, w, &found)
			for _, v := range found.TagValues {
				if v.Type == "string" {
					v.Value = strconv.Quote(v.Value)
				}
				g.values[field] = append(g.values[field], v.Value)
			}
			if len(g.values[field]) > 0 {
				g.fields = append(g.fields, field)
			}
		}
	}
	if len(g.fields) < 10 {
		t.Fatalf("only the fields %q", g.fields)
	}
}

func decode(t *testing.T, w *httptest.ResponseRecorder, into any) {
	if err := json.Unmarshal(w.Body.Bytes(), into); w.Code != http.StatusOK || err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
}

func (g *queryMaker) pick(from ...string) string { return from[g.IntN(len(from))] }

func (g *queryMaker) field() string { return g.pick(g.fields...) }

func (g *queryMaker) number() string {
	return g.pick("0", "1", "3", "200", "2.5", "10ms", "100ms", "1s", "250us")
}

// target is a request.
func (g *queryMaker) target() string {
	values, path := url.Values{}, "/api/search"
	switch n := g.IntN(10); {
	case n < 6:
		values.Set("q", g.search())
		values.Set("limit", g.pick("1", "3", "20", "1000"))
		if g.IntN(2) == 0 {
			values.Set("spss", g.pick("1", "2", "10", "100"))
		}
	case n < 9:
		path = g.pick("/api/metrics/query_range", "/api/metrics/query_range", "/api/metrics/query")
		values.Set("q", g.metrics())
		values.Set("step", g.pick("5s", "30s", "60s", "7m"))
	default:
		path = "/api/v2/search/tag/" + url.PathEscape(g.field()) + "/values"
		if g.IntN(4) == 0 {
			path = "/api/v2/search/tags"
		}
		values.Set("q", "{ "+g.cond(1)+" }")
	}
	from, to := g.base-600, g.base+1200
	if g.IntN(3) == 0 && !strings.Contains(path, "/tag") { // Whole parts are left out for names and values.
		from = g.base + g.Int64N(400)
		to = from + 1 + g.Int64N(400)
	}
	if g.IntN(5) > 0 || strings.HasPrefix(path, "/api/metrics") {
		values.Set("start", fmt.Sprint(from))
		values.Set("end", fmt.Sprint(to))
	}
	return path + "?" + values.Encode()
}

func (g *queryMaker) search() string {
	q := g.spanset(2)
	for range g.IntN(3) {
		q += " | " + g.stage()
	}
	return q
}

func (g *queryMaker) spanset(depth int) string {
	if depth == 0 || g.IntN(2) == 0 {
		if g.IntN(8) == 0 {
			return "{ }"
		}
		return "{ " + g.cond(2) + " }"
	}
	op := g.pick("&&", "||", ">", ">>", "<", "<<", "~", "!>", "!>>", "!<", "!<<", "!~", "&>", "&>>", "&<", "&<<", "&~")
	return "(" + g.spanset(depth-1) + " " + op + " " + g.spanset(depth-1) + ")"
}

func (g *queryMaker) cond(depth int) string {
	if depth == 0 || g.IntN(2) == 0 {
		return g.leaf()
	}
	switch g.IntN(5) {
	case 0:
		return "!(" + g.cond(depth-1) + ")"
	case 1, 2:
		return "(" + g.cond(depth-1) + " && " + g.cond(depth-1) + ")"
	}
	return "(" + g.cond(depth-1) + " || " + g.cond(depth-1) + ")"
}

func (g *queryMaker) leaf() string {
	field := g.field()
	switch g.IntN(12) {
	case 0:
		return field + g.pick(" = nil", " != nil")
	case 1:
		return "duration " + g.pick(">", "<", ">=") + " " + g.pick("1ms", "10ms", "100ms", "1s")
	case 2:
		return "status " + g.pick("=", "!=") + " " + g.pick("error", "ok", "unset")
	case 3:
		return "kind " + g.pick("=", "!=") + " " + g.pick("server", "client", "internal")
	case 4:
		return g.pick("traceDuration", "trace:duration") + g.pick(" > ", " < ") + g.pick("50ms", "500ms", "2s")
	case 5:
		return g.pick("nestedSetParent < 0", "nestedSetLeft > 3", "span:childCount > 1", "span:childCount = 0", "nestedSetRight < 20")
	case 6:
		return field + " " + g.pick("=", "!=", ">", "<=") + " " + g.field()
	case 7:
		if i := strings.Index(field, "."); i > 0 && !strings.HasPrefix(field, "event") && !strings.HasPrefix(field, "link") && !strings.HasPrefix(field, "instr") {
			return field[i:] + " " + g.pick("=", "!=") + " " + g.pick(g.values[field]...)
		}
	case 8:
		return field + " " + g.pick("=~", "!~") + " " + strconv.Quote(g.pick(".*a.*", "[a-m].*", ".+", "GET|POST", ".*[0-9]$"))
	}
	return field + " " + g.pick("=", "=", "=", "!=", ">", "<", ">=") + " " + g.pick(g.values[field]...)
}

func (g *queryMaker) stage() string {
	switch g.IntN(6) {
	case 0:
		return "count() " + g.pick(">", "<", "=", "!=") + " " + g.pick("0", "1", "2", "5")
	case 1:
		return g.pick("avg", "min", "max", "sum") + "(duration) " + g.pick(">", "<") + " " + g.pick("1ms", "20ms", "300ms")
	case 2:
		return "by(" + g.field() + ")"
	case 3:
		return g.pick("avg", "min", "max", "sum") + "(" + g.field() + ") " + g.pick(">", "<", ">=") + " " + g.number()
	case 4:
		return "{ " + g.cond(1) + " }"
	}
	return "select(" + g.field() + ", " + g.field() + ")"
}

func (g *queryMaker) metrics() string {
	number := g.pick("duration", "duration", g.field(), "traceDuration")
	f := g.pick("rate()", "count_over_time()", "min_over_time("+number+")", "max_over_time("+number+")", "avg_over_time("+number+")",
		"sum_over_time("+number+")", "quantile_over_time("+number+", .5, .9)", "histogram_over_time("+number+")", "compare({ "+g.cond(1)+" })")
	q := g.spanset(g.IntN(2)) + " | " + f
	if strings.HasPrefix(f, "compare") {
		return q
	}
	switch g.IntN(3) {
	case 0:
		q += " by (" + g.field() + ")"
	case 1:
		q += " by (" + g.field() + ", " + g.field() + ")"
	}
	if g.IntN(5) == 0 && !strings.HasPrefix(f, "histogram") {
		q += " | " + g.pick("topk", "bottomk") + "(" + g.pick("1", "3") + ")"
	}
	return q
}
