package program

import (
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"etude/program/listen"
)

const nodeService = "../testdata/node-sdk"

// needNode skips where there is no Node.js or a folder lacks its packages, unless
// ETUDE_NODE=1 says that there must be, as `make node` does.
func needNode(t *testing.T, dir string) (node string) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "node_modules"))
	}
	switch {
	case err == nil:
	case os.Getenv("ETUDE_NODE") != "":
		t.Fatal(err)
	default:
		t.Skip("needs Node.js and the packages of "+dir+" (`make node` installs them): ", err)
	}
	return node
}

// TestNodeSDK: a service with the SDK at its defaults, pointed here by the one
// variable that README names, sends traces, metrics and logs without an error. It
// knows the name localhost alone, which Node.js resolves to [::1] where it can.
func TestNodeSDK(t *testing.T) {
	t.Parallel()
	node := needNode(t, nodeService)
	b := startBackend(t, t.TempDir())
	for _, c := range []struct{ protocol, endpoint string }{
		{"", fmt.Sprintf("http://localhost:%d", listen.PortOTLPHTTP+b.offset)}, // the default is http/protobuf
		{"grpc", fmt.Sprintf("http://localhost:%d", listen.PortOTLPGRPC+b.offset)},
		{"http/protobuf", fmt.Sprintf("http://localhost:%d", listen.PortOTLPGRPC+b.offset)}, // either port takes either
	} {
		t.Run("protocol "+c.protocol, func(t *testing.T) {
			service := "shop-" + regexp.MustCompile(`\W`).ReplaceAllString(c.protocol, "-") + fmt.Sprint(len(c.endpoint))
			runNode(t, node, "OTEL_EXPORTER_OTLP_ENDPOINT="+c.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL="+c.protocol, "OTEL_SERVICE_NAME="+service)
			eventually(t, "find the service's trace", func() error {
				ids := search(t, b.api, "q="+url.QueryEscape(fmt.Sprintf(`{resource.service.name=%q && name="GET"} >> {name="take order"}`, service)))
				if len(ids) != 1 {
					return fmt.Errorf("%d traces", len(ids))
				}
				return nil
			})
			eventually(t, "find the service's metric", func() error {
				query := fmt.Sprintf(`last_over_time(shop_orders_total{article="tea",job=%q}[5m])`, service)
				if _, body := get(t, b.prometheus+"/api/v1/query?query="+url.QueryEscape(query)); !strings.Contains(body, `"1"]`) {
					return fmt.Errorf("%s: %s", query, body)
				}
				return nil
			})
		})
	}
}

// runNode runs the service for one request and until it has sent everything.
func runNode(t *testing.T, node string, env ...string) {
	t.Helper()
	out := &output{}
	cmd := exec.Command(node, "service.js")
	cmd.Dir, cmd.Stdout, cmd.Stderr = nodeService, out, out
	// At the default level the SDK would hide its warnings.
	cmd.Env = append(append(os.Environ(), "OTEL_LOG_LEVEL=warn", "NO_PROXY=*"), env...)
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var port string
	eventually(t, "the service listens", func() error {
		if m := regexp.MustCompile(`listening on (\d+)`).FindStringSubmatch(out.String()); m != nil {
			port = m[1]
			return nil
		}
		return fmt.Errorf("it says %q", out)
	})
	if status, body := get(t, "http://127.0.0.1:"+port+"/"); status != 200 {
		t.Fatalf("the service answers %d %s", status, body)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the service ends with %v", err)
		}
	case <-time.After(patience):
		t.Error("the service does not end")
	}
	// That logs are not kept is the one warning that is right.
	if said := regexp.MustCompile(`(?m)^listening on \d+\n|^sent everything\n|^Received Partial Success response: {"rejectedLogRecords":1,.*OTEL_LOGS_EXPORTER=none.*\n`).ReplaceAllString(out.String(), ""); said != "" || !strings.Contains(out.String(), "sent everything") {
		t.Errorf("the SDK complains:\n%s", out)
	}
}
