package program

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"etude/program/listen"
	"etude/tenant"
)

func traceID(n uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, 7), n)
}

// as asks with a tenant's name; with a body it posts.
func as(t *testing.T, id, url string, body []byte, header ...string) (status int, answer string) {
	t.Helper()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if id != "" {
		req.Header.Set(tenant.Header, id)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return do(t, req)
}

// TestTenantsEndToEnd runs the real program: spans without tenants first, then
// two tenants, a restart, and then none again.
func TestTenantsEndToEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const media = "application/x-protobuf"
	b := startBackend(t, dir)
	if !post(b.otlpHTTP, traceOf(traceID(9), 1)) {
		t.Fatal("spans without tenants were not taken")
	}
	stopCleanly(t, b)

	b = startBackend(t, dir, "--multitenancy", "--max-tenants", "3", "--page-tenant", "t1|t2", "--metrics.interval", "200ms")
	for n, id := range []string{"t1", "t2"} {
		if status, body := as(t, id, b.otlpHTTP+"/v1/traces", traceOf(traceID(uint64(n+1)), n+1), "Content-Type", media); status != 200 {
			t.Fatalf("spans of %s: %d %s", id, status, body)
		}
	}
	for _, x := range []struct {
		id     string
		status int
		text   string
	}{
		{"", 503, "no org id"},
		{"t1|t2", 400, "multiple org IDs present"},
		{"t3", 400, "tenant t3 cannot be added: 3 tenants have spans already, the limit of --max-tenants"},
	} {
		status, body := as(t, x.id, b.otlpHTTP+"/v1/traces", traceOf(traceID(5), 1), "Content-Type", media)
		if status != x.status || !strings.Contains(body, x.text) {
			t.Errorf("spans of %q: %d %q, want %d %q", x.id, status, body, x.status, x.text)
		}
	}
	check := func() {
		t.Helper()
		for id, want := range map[string][]string{"t1": {"1"}, "t2": {"2"}, "t1|t2": {"1", "2"}, tenant.Single: {"9"}, "t2|single-tenant|t1": {"1", "2", "9"}, "t3": nil} {
			var found []string
			_, searched := as(t, id, b.api+"/api/search", nil)
			for _, n := range []string{"1", "2", "9"} {
				short := "7000000000000000" + n
				status, _ := as(t, id, b.api+"/api/traces/"+short, nil)
				if status == 200 {
					found = append(found, n)
				}
				if (status == 200) != strings.Contains(searched, `"traceID":"`+short+`"`) {
					t.Errorf("%s, trace %s: by id %d, search %s", id, short, status, searched)
				}
			}
			if !slices.Equal(found, want) {
				t.Errorf("%s finds %v, want %v", id, found, want)
			}
		}
	}
	check()
	if status, body := as(t, "", b.api+"/api/search", nil); status != 401 || body != "no org id" {
		t.Errorf("a search of nobody: %d %s", status, body)
	}
	page := strings.Replace(b.api, fmt.Sprint(b.offset+listen.PortAPI), fmt.Sprint(b.offset+listen.PortPage), 1)
	if status, body := as(t, "", page+"/api/search", nil); status != 200 || strings.Count(body, "traceID") != 2 {
		t.Errorf("the page's search: %d %s", status, body)
	}
	if _, body := as(t, "", b.api+"/metrics", nil); !strings.Contains(body, `etude_store_spans{tenant="t2"} 2`) {
		t.Errorf("metrics do not tell tenants apart:\n%s", body)
	}
	prometheus := strings.Replace(b.api, fmt.Sprint(b.offset+listen.PortAPI), fmt.Sprint(b.offset+listen.PortPrometheus), 1)
	eventually(t, "Prometheus is ready", func() error {
		if status, body := get(t, prometheus+"/-/ready"); status != http.StatusOK {
			return errors.New(body)
		}
		return nil
	})
	eventually(t, "span metrics are computed of each tenant", func() error {
		got := ask(t, prometheus, `sum by (tenant) (traces_spanmetrics_calls_total{tenant!=""})`)
		if len(got) != 2 || got[0].Value+got[1].Value != 3 || got[0].Metric["tenant"]+got[1].Metric["tenant"] != "t1t2" && got[0].Metric["tenant"]+got[1].Metric["tenant"] != "t2t1" {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	stopCleanly(t, b)

	b = startBackend(t, dir, "--multitenancy", "--max-tenants", "3")
	check()
	stopCleanly(t, b)

	b = startBackend(t, dir, "--max-ingest-rate", "1")
	if status, body := as(t, "t1", b.api+"/api/search", nil); status != 200 || strings.Count(body, "traceID") != 1 {
		t.Errorf("without tenants: %d %s", status, body)
	}
	json := []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0000000000000007000000000000000a","spanId":"0000000000000001"}]}]}]}`)
	for _, want := range []int{200, 429} {
		status, body := as(t, "", b.otlpHTTP+"/v1/traces", json, "Content-Type", "application/json")
		if limited := strings.HasPrefix(body, `{"code":8,"message":"RATE_LIMITED: `) && strings.Contains(body, "google.rpc.RetryInfo"); status != want || limited != (want == 429) {
			t.Errorf("rate limit: %d %s, want %d", status, body, want)
		}
	}
}

// stopCleanly ends a backend as a person does.
func stopCleanly(t *testing.T, b *backendProcess) {
	t.Helper()
	if err := b.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if status := b.ended(); status != 0 {
		t.Fatalf("exit status %d:\n%s", status, b.out)
	}
}

// TestDemoWithTenants has all parts of the demo name the tenant that the page shows.
func TestDemoWithTenants(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "--multitenancy", "--self-trace")
	d.through("uservice3.localhost")
	for what, query := range map[string]string{
		"edge and services":                  `{ resource.service.name = "edge" } && { resource.service.name = "uservice4" }`,
		"the backend, of which this is part": `{ resource.service.name = "etude-backend" }`,
	} {
		eventually(t, "the page finds the trace of "+what, func() error {
			if found := search(t, d.url(listen.PortPage, ""), "q="+url.QueryEscape(query)); len(found) == 0 {
				return errors.New("it finds none")
			}
			return nil
		})
	}
}

func TestTenantFlags(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"backend --max-tenants 0":   "--max-tenants 0: want 1 or more",
		"up --max-tenants 0":        "--max-tenants 0: want 1 or more",
		"backend --page-tenant a/b": "--page-tenant: tenant ID 'a/b' contains unsupported character '/'",
	} {
		var out, errs bytes.Buffer
		if status := Main(strings.Fields(args), &out, &errs); status != 1 || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: exit status %d, %q", args, status, errs.String())
		}
	}
}
