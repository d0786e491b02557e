package program

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"etude/program/listen"

	common "go.opentelemetry.io/proto/otlp/common/v1"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// TestWalk does what the README tells a stranger to do, by the API.
func TestWalk(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	api := d.url(listen.PortAPI, "")

	if body := d.through("uservice3.localhost"); !strings.Contains(body, "Hello, World!") {
		t.Errorf("uservice3 answers %q", body)
	}
	id := d.findTrace(t, "uservice4", 7)
	compareSpans(t, describeTrace(traceByID(t, api, id)), wantSeven)
	checkResources(t, traceByID(t, api, id))
	d.seesHeader(id)

	t.Run("found by either spelling of its id", func(t *testing.T) {
		for _, spelling := range []string{id, strings.Repeat("0", 16) + pad16(id), strings.ToUpper(pad16(id))} {
			if n := spansOf(traceByID(t, api, spelling)); n != 7 {
				t.Errorf("trace %s has %d spans, want 7", spelling, n)
			}
		}
	})
	t.Run("found by tag, service, name and duration", func(t *testing.T) {
		for _, query := range []string{
			"tags=" + url.QueryEscape(`os.type="`+runtime.GOOS+`"`),
			"q=" + url.QueryEscape(`{.os.type="`+runtime.GOOS+`"}`),
			"q=" + url.QueryEscape(`{resource.service.name="uservice3" && name="redis_call"}`),
			"q=" + url.QueryEscape(`{span.test-attribute-1="test-values-1"}`),
			"minDuration=1us&maxDuration=1h",
			"q=" + url.QueryEscape(`{traceDuration>1us && traceDuration<1h && kind=client}`),
			fmt.Sprintf("tags=service.name%%3Duservice4&start=%d&end=%d", time.Now().Unix()-600, time.Now().Unix()+1),
		} {
			if ids := search(t, api, query); !slices.Contains(ids, id) {
				t.Errorf("search %s finds %v, want %s among them", query, ids, id)
			}
		}
		for _, query := range []string{"minDuration=1h", "q=" + url.QueryEscape(`{name="nobody"}`), "tags=os.type%3Dplan9"} {
			if ids := search(t, api, query); len(ids) != 0 {
				t.Errorf("search %s finds %v, want nothing", query, ids)
			}
		}
	})
	t.Run("uservice1 leaves the two spans of the edge", func(t *testing.T) {
		d.through("uservice1.localhost")
		id := d.findTraceBy(t, `{name="EntryPoint web uservice1.localhost"}`, 2)
		compareSpans(t, describeTrace(traceByID(t, api, id)), wantTwo)
	})
	t.Run("names and values are offered", func(t *testing.T) {
		_, tags := get(t, api+"/api/v2/search/tags")
		_, values := get(t, api+"/api/v2/search/tag/resource.service.name/values")
		for _, want := range []string{`"os.type"`, `"process.command_args"`, `"test-attribute-1"`} {
			if !strings.Contains(tags, want) {
				t.Errorf("tags lack %s: %s", want, tags)
			}
		}
		for _, want := range []string{"edge", "uservice3", "uservice4"} {
			if !strings.Contains(values, `"value":"`+want+`"`) {
				t.Errorf("services lack %s: %s", want, values)
			}
		}
	})
}

func pad16(id string) string { return strings.Repeat("0", 16-len(id)) + id }

// findTrace waits for the trace of the newest request to a service.
func (d *demo) findTrace(t *testing.T, service string, spans int) string {
	t.Helper()
	return d.findTraceBy(t, fmt.Sprintf("{resource.service.name=%q}", service), spans)
}

// findTraceBy waits until a query finds one trace and it has all its spans: the
// services and the edge send theirs after their answer.
func (d *demo) findTraceBy(t *testing.T, query string, spans int) (id string) {
	t.Helper()
	api := d.url(listen.PortAPI, "")
	eventually(t, "find "+query, func() error {
		ids := search(t, api, "q="+url.QueryEscape(query))
		if len(ids) == 0 {
			return fmt.Errorf("nothing found")
		}
		id = ids[0]
		if n := spansOf(traceByID(t, api, id)); n != spans {
			return fmt.Errorf("trace %s has %d spans, want %d", id, n, spans)
		}
		return nil
	})
	return id
}

// seesHeader checks that uservice3 printed the header that the edge injected.
func (d *demo) seesHeader(id string) {
	d.t.Helper()
	seen := regexp.MustCompile(`(?i)uservice3 .*uber-trace-id.*?([0-9a-f]{16,32}):([0-9a-f]{16}):([0-9a-f]{16}):1`).FindStringSubmatch(d.out.String())
	if seen == nil {
		d.t.Fatal("uservice3 has printed no uber-trace-id")
	}
	if strings.TrimLeft(seen[1], "0") != id {
		d.t.Errorf("uservice3 saw trace %s, the backend has %s", seen[1], id)
	}
}

// wantSeven are the spans of one request to uservice3, each below the one before.
var wantSeven = []string{
	`edge: EntryPoint web uservice3.localhost SERVER, scope "", UNSET ""`,
	`  component=edge http.host=uservice3.localhost http.method=GET http.status_code=200 http.url=/ sampler.param=true sampler.type=const`,
	`edge: forward uservice3/uservice3@file CLIENT, scope "", UNSET ""`,
	`  http.host=uservice3.localhost http.method=GET http.status_code=200 http.url=/ traefik.router.name=uservice3@file traefik.service.name=uservice3`,
	`uservice3: handle_incoming_call SERVER, scope "uservice3", ERROR "no error"`,
	`  event Request decoded!: happened=true`,
	`uservice3: redis_call INTERNAL, scope "uservice3", UNSET ""`,
	`  test-attribute-1=test-values-1`,
	`uservice3: other_uservice_call CLIENT, scope "uservice3", UNSET ""`,
	`  event Got response!: status="200 OK" traceresponse=""`,
	`uservice4: handle_incoming_call SERVER, scope "uservice4", UNSET ""`,
	`uservice4: database_call INTERNAL, scope "uservice4", UNSET ""`,
}

var wantTwo = []string{
	`edge: EntryPoint web uservice1.localhost SERVER, scope "", UNSET ""`,
	`  component=edge http.host=uservice1.localhost http.method=GET http.status_code=200 http.url=/ sampler.param=true sampler.type=const`,
	`edge: forward uservice1/uservice1@file CLIENT, scope "", UNSET ""`,
	`  http.host=uservice1.localhost http.method=GET http.status_code=200 http.url=/ traefik.router.name=uservice1@file traefik.service.name=uservice1`,
}

func compareSpans(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("spans, from the root down:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// describeTrace writes the spans as text, following the chain of parents from
// the root; a trace that is not one chain shows less than all of its spans.
func describeTrace(data *tracepb.TracesData) (lines []string) {
	type located struct {
		service, scope string
		span           *tracepb.Span
	}
	byParent := map[string][]located{}
	for _, rs := range data.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				byParent[string(s.ParentSpanId)] = append(byParent[string(s.ParentSpanId)], located{attr(rs.Resource.Attributes, "service.name"), ss.Scope.GetName(), s})
			}
		}
	}
	for parent := ""; len(byParent[parent]) == 1; {
		at := byParent[parent][0]
		s := at.span
		lines = append(lines, fmt.Sprintf("%s: %s %s, scope %q, %s %q", at.service, s.Name, strings.TrimPrefix(s.Kind.String(), "SPAN_KIND_"),
			at.scope, strings.TrimPrefix(s.Status.GetCode().String(), "STATUS_CODE_"), s.Status.GetMessage()))
		if len(s.Attributes) > 0 {
			lines = append(lines, "  "+attrsText(s.Attributes))
		}
		for _, e := range s.Events {
			lines = append(lines, "  event "+e.Name+": "+attrsText(e.Attributes))
		}
		parent = string(s.SpanId)
	}
	return lines
}

func attrsText(attrs []*common.KeyValue) string {
	var texts []string
	for _, kv := range attrs {
		texts = append(texts, kv.Key+"="+valueText(kv.Value))
	}
	slices.Sort(texts)
	return strings.Join(texts, " ")
}

func valueText(v *common.AnyValue) string {
	switch x := v.Value.(type) {
	case *common.AnyValue_StringValue:
		if x.StringValue == "" || strings.Contains(x.StringValue, " ") {
			return fmt.Sprintf("%q", x.StringValue)
		}
		return x.StringValue
	case *common.AnyValue_IntValue:
		return fmt.Sprint(x.IntValue)
	case *common.AnyValue_BoolValue:
		return fmt.Sprint(x.BoolValue)
	case *common.AnyValue_ArrayValue:
		var parts []string
		for _, e := range x.ArrayValue.Values {
			parts = append(parts, valueText(e))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	return v.String()
}

func attr(attrs []*common.KeyValue, key string) string {
	for _, kv := range attrs {
		if kv.Key == key {
			return valueText(kv.Value)
		}
	}
	return ""
}

// checkResources holds the services' resources to the four attributes of the
// lesson, and their process ids to real processes.
func checkResources(t *testing.T, data *tracepb.TracesData) {
	t.Helper()
	pids := map[string]bool{}
	for _, rs := range data.ResourceSpans {
		service := attr(rs.Resource.Attributes, "service.name")
		if service == "edge" {
			continue
		}
		var keys []string
		for _, kv := range rs.Resource.Attributes {
			keys = append(keys, kv.Key)
		}
		slices.Sort(keys)
		if want := []string{"os.type", "process.command_args", "process.pid", "service.name"}; !slices.Equal(keys, want) {
			t.Errorf("resource of %s has %v, want %v", service, keys, want)
		}
		if os := attr(rs.Resource.Attributes, "os.type"); os != runtime.GOOS {
			t.Errorf("os.type of %s is %s", service, os)
		}
		if args := attr(rs.Resource.Attributes, "process.command_args"); !strings.Contains(args, ","+service+",") {
			t.Errorf("process.command_args of %s are %s", service, args)
		}
		pid := attr(rs.Resource.Attributes, "process.pid")
		if _, err := os.Stat(filepath.Join("/proc", pid)); runtime.GOOS == "linux" && err != nil {
			t.Errorf("process.pid of %s is %s: %v", service, pid, err)
		}
		pids[pid] = true
	}
	if len(pids) != 2 {
		t.Errorf("two services in %d processes", len(pids))
	}
}
