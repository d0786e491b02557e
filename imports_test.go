package main

import (
	"go/build"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// importRules is the order of the house: a package may import those named for
// it, and no other package of this module. The reason says what would be lost.
var importRules = []struct{ pkg, may, reason string }{
	{"trace", "", "the domain depends on nothing"},
	{"internal/wire", "", "protobuf's bytes, whatever they mean"},
	{"otlp", "internal/jsonread internal/wire trace", "a codec needs only what it fills"},
	{"tenant", "", "names of tenants; who has which data is not its business"},
	{"internal/jsonread", "internal/wire", "JSON's text, whatever it means"},
	{"internal/spantest", "", "what tests share; nothing but tests imports it"},
	{"receive/spans", "internal/wire", "it writes OTLP spans; who reads them is not its business"},
	{"receive/jaeger", "internal/wire receive/spans", "bytes to bytes: no listener, no limits of its own"},
	{"receive/jaeger/jaegertest", "", "what tests share; nothing but tests imports it"},
	{"receive/zipkin", "internal/jsonread internal/wire receive/spans", "bytes to bytes: no listener, no limits of its own"},
	{"receive", "internal/wire otlp receive/jaeger receive/spans receive/zipkin tenant", "it hands bytes to a Sink; who stores them is not its business"},
	{"internal/fs", "", "plumbing below everything"},
	{"internal/histogram", "", "durations, whoever measures them"},
	{"internal/door", "", "who may connect and ask, whatever lies behind"},
	{"internal/testkit", "trace", "plumbing of tests, and sources of spans for them"},
	{"store/wal", "internal/fs", "the log keeps bytes, whatever they mean"},
	{"store/block/layout", "internal/fs trace", "what a block's files are called and which columns they have; no values"},
	{"store/block/sidecar", "internal/fs internal/wire otlp store/block/layout trace", "what a query can skip; how the spans are stored is not its business"},
	{"store/block/write", "internal/fs internal/wire otlp store/block/layout store/block/sidecar trace", "Views to files; who reads them is not its business"},
	{"store/block", "internal/fs internal/wire otlp store/block/layout store/block/sidecar store/block/write trace", "a format of files; which blocks there are is the store's business"},
	{"store", "trace otlp internal/fs store/block store/wal", "storage does not know the query language"},
	{"store/tenants", "trace otlp store tenant", "a set of stores behind one Append; who asks is not its business"},
	{"traceql/syntax", "", "text to tree needs no data"},
	{"traceql/check", "traceql/syntax trace", "types are those of the domain"},
	{"traceql/eval", "trace traceql/syntax traceql/check", "the language does not know where Tables come from"},
	{"query/compare", "trace", "why traces differ is arithmetic on spans; where they come from is not its business"},
	{"traceql/evaltest", "trace internal/testkit", "what tests share; nothing but tests imports it"},
	{"traceql/metrics", "trace traceql/syntax traceql/check traceql/eval", "it counts the spans that eval finds; who drives it is not its business"},
	{"query", "tenant trace otlp query/compare traceql/syntax traceql/check traceql/eval traceql/metrics", "it joins Tables and language; a store is an interface to it"},
	{"api", "internal/wire tenant trace otlp query query/compare traceql/syntax traceql/check traceql/eval traceql/metrics", "routes render what query finds"},
	{"assert", "traceql/syntax traceql/check", "it asks any backend by the API; the language tells why a query finds nothing"},
	{"labs", "assert labs/scenario services", "lessons and their checks; the backend and the processes are a Stage to it"},
	{"labs/scenario", "", "text to OTLP; who sends it is not its business"},
	{"mcp", "", "it needs only the API's http.Handler"},
	{"telemetry", "", "counters are given to it"},
	{"metrics/quota", "", "it shares numbers; series and senders are not its business"},
	{"metrics/generator", "internal/wire trace metrics/quota", "it reads Tables and writes samples; a store and a database are interfaces to it"},
	{"metrics/prometheus", "metrics/quota", "it is Prometheus, whoever embeds it; configuration, hosts and pages are given to it"},
	{"edge", "internal/histogram", "it reaches the backend over the wire, like any proxy"},
	{"services/uservice1", "", "a lesson must be readable alone"},
	{"services/uservice2", "", "a lesson must be readable alone"},
	{"services/uservice3", "", "a lesson must be readable alone"},
	{"services/uservice4", "", "a lesson must be readable alone"},
	{"services", "", "it holds the text of the services and knows nothing of their code"},
	{"examples/go", "", "an example depends on nothing"},
	{"page", "", "the page speaks the public API"},
	{"conf", "", "files"},
	{"deploy", "", "files"},
	{"bench", "internal/histogram internal/wire", "it drives any backend over the wire, a peer's like ours"},
	{"program/flags", "", "kinds of values; which flags there are is not its business"},
	{"program/proc", "", "what a command runs with; no command is its business"},
	{"program/listen", "internal/door", "addresses, whoever listens there"},
	{"program/memory", "program/flags", "it divides memory; who uses it is not its business"},
	{"program/access", "internal/door program/listen", "flags put to work; what lies behind a door is not its business"},
	{"program/supervise", "", "it runs processes, whatever they do"},
	{"program/control", "", "questions and answers, whatever they are about"},
	{"program/switches", "program/access program/control program/listen program/supervise", "it changes parts of the demo; who plans them is not its business"},
	{"program/backend", "api assert conf internal/door labs mcp metrics/generator metrics/prometheus metrics/quota page program/access program/control program/flags program/listen program/memory program/proc program/supervise query receive services store store/block store/tenants telemetry tenant", "the wiring of one process; the edge and the demo are not its business"},
	{"program/testcmd", "assert page program/backend program/proc", "it judges what a backend has received; how that works is not its business"},
	{"program", "bench conf edge internal/door internal/fs internal/histogram labs page program/access program/backend program/control program/flags program/listen program/memory program/proc program/supervise program/switches program/testcmd services/uservice1 services/uservice2 services/uservice3 services/uservice4 store/block tenant", "the only wiring of the whole; it needs no insides"},
	{"", "program", "main is a few lines"},
}

// bannedModules are imports from outside that would make a part something else.
var bannedModules = []struct{ pkg, prefix, reason string }{
	{"trace", "go.opentelemetry.io", "spans are columns here, not SDK objects"},
	{"otlp", "go.opentelemetry.io", "no protobuf objects on the way of a span"},
	{"receive", "go.opentelemetry.io/proto", "no protobuf objects on the way of a span"},
	{"query", "go.opentelemetry.io", "telemetry hears of queries through query.Observer"},
	{"query", "github.com/prometheus", "telemetry hears of queries through query.Observer"},
	{"api", "go.opentelemetry.io/otel", "telemetry hears of queries through api.Observe"},
	{"api", "github.com/prometheus", "telemetry hears of queries through api.Observe"},
	{"store", "github.com/prometheus", "telemetry hears of its work through store.Observer"},
	{"services/uservice1", "go.opentelemetry.io", "it is the service without instrumentation"},
	{"services/uservice2", "go.opentelemetry.io", "it is the service without instrumentation"},
}

// onlyStdAnd lists packages that may import nothing from outside but these.
var onlyStdAnd = map[string]string{
	"trace":              "",
	"services/uservice1": "",
	"services/uservice2": "",
	"services/uservice3": "go.opentelemetry.io/",
	"services/uservice4": "go.opentelemetry.io/",
	"tenant":             "",
	"traceql/syntax":     "",
}

func TestImports(t *testing.T) {
	t.Parallel()
	rules := map[string]string{}
	reasons := map[string]string{}
	for _, r := range importRules {
		rules[r.pkg], reasons[r.pkg] = r.may, r.reason
	}
	for dir, imports := range importsOfModule(t) {
		may, known := rules[dir]
		if !known {
			t.Errorf("package %q has no rule in importRules: say what it may import, and why", dir)
		}
		for _, path := range imports {
			checkImport(t, dir, path, strings.Fields(may), reasons[dir])
		}
	}
}

func checkImport(t *testing.T, dir, path string, may []string, reason string) {
	if own, ok := strings.CutPrefix(path, "etude/"); ok {
		if !slices.Contains(may, own) {
			t.Errorf("%s imports %s, which its rule does not allow: %s", dir, own, reason)
		}
		return
	}
	for _, ban := range bannedModules {
		if ban.pkg == dir && strings.HasPrefix(path, ban.prefix) {
			t.Errorf("%s imports %s: %s", dir, path, ban.reason)
		}
	}
	first, _, _ := strings.Cut(path, "/")
	if allowed, only := onlyStdAnd[dir]; only && strings.Contains(first, ".") && (allowed == "" || !strings.HasPrefix(path, allowed)) {
		t.Errorf("%s imports %s; it may import the standard library and %q only", dir, path, allowed)
	}
}

// importsOfModule returns the imports of each package but for its tests, which
// may look anywhere.
func importsOfModule(t *testing.T) map[string][]string {
	found := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata") {
			return filepath.SkipDir
		}
		pkg, err := build.ImportDir(path, 0)
		if _, none := err.(*build.NoGoError); none {
			return nil
		}
		if err != nil {
			return err
		}
		if len(pkg.GoFiles) == 0 { // tests alone
			return nil
		}
		found[strings.TrimPrefix(filepath.ToSlash(path), ".")] = pkg.Imports
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 10 {
		t.Fatalf("found only %d packages", len(found))
	}
	return found
}

func TestNoCatchAllPackages(t *testing.T) {
	t.Parallel()
	for dir := range importsOfModule(t) {
		switch filepath.Base(dir) {
		case "util", "utils", "common", "helpers", "misc", "shared", "config":
			t.Errorf("package %s: name it after what it holds", dir)
		}
	}
}
