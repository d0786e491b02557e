package prometheus

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang/snappy"
	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	config_util "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage/remote"
)

func clientConfig(t *testing.T, address string) *remote.ClientConfig {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return &remote.ClientConfig{URL: &config_util.URL{URL: u}, Timeout: model.Duration(patience),
		WriteProtoMsg: remoteapi.WriteV1MessageType, ChunkedReadLimit: 1 << 20}
}

func TestRemoteWriteAndReadByPrometheusOwnClient(t *testing.T) {
	t.Parallel()
	in := run(t, Options{Receiver: true})
	now := time.Now().UnixMilli()
	request := &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels:    []prompb.Label{{Name: "__name__", Value: "calls_total"}, {Name: "service", Value: "a"}},
		Samples:   []prompb.Sample{{Value: 7, Timestamp: now}},
		Exemplars: []prompb.Exemplar{{Labels: []prompb.Label{{Name: "traceID", Value: "0af7"}}, Value: 7, Timestamp: now}},
	}}}
	raw, err := request.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	writer, err := remote.NewWriteClient("test", clientConfig(t, in.url+"/api/v1/write"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Store(context.Background(), snappy.Encode(nil, raw), 0); err != nil {
		t.Fatal(err)
	}
	reader, err := remote.NewReadClient("test", clientConfig(t, in.url+"/api/v1/read"))
	if err != nil {
		t.Fatal(err)
	}
	set, err := reader.Read(context.Background(), &prompb.Query{StartTimestampMs: now - 1000, EndTimestampMs: now + 1000,
		Matchers: []*prompb.LabelMatcher{{Type: prompb.LabelMatcher_EQ, Name: "service", Value: "a"}}}, true)
	if err != nil {
		t.Fatal(err)
	}
	if !set.Next() || set.At().Labels().String() != `{__name__="calls_total", service="a"}` || set.Err() != nil {
		t.Fatalf("remote read finds nothing: %v", set.Err())
	}
	if it := set.At().Iterator(nil); it.Next() == 0 {
		t.Error("remote read finds no sample")
	} else if at, v := it.At(); at != now || v != 7 {
		t.Errorf("remote read finds %v at %d", v, at)
	}
	found, err := in.client().QueryExemplars(context.Background(), "calls_total", time.UnixMilli(now-1000), time.UnixMilli(now+1000))
	if err != nil || len(found) != 1 || found[0].Exemplars[0].Labels["traceID"] != "0af7" {
		t.Errorf("exemplars written: %v %v", found, err)
	}
	if _, err := writer.Store(context.Background(), []byte("nonsense"), 0); err == nil {
		t.Error("it takes nonsense")
	}
}

// TestSendsToAnother appends and closes at once: the samples arrive, with
// its exemplar, and with the credentials of the URL.
func TestSendsToAnother(t *testing.T) {
	t.Parallel()
	other := run(t, Options{Receiver: true})
	var user atomic.Value
	guard := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, _ := r.BasicAuth()
		user.Store(name + " " + password)
		other.Handler().ServeHTTP(w, r)
	}))
	defer guard.Close()
	to := strings.Replace(guard.URL, "http://", "http://me:secret@", 1) + "/api/v1/write"
	now := time.Now()
	t.Run("sender", func(t *testing.T) {
		in := run(t, Options{RemoteWrite: []string{to}, Config: []byte("global: {external_labels: {source: etude}}")})
		eventually(t, "what is newer than the start is sent", func() string {
			in.put(`calls_total`, time.Now(), 1, "")
			if got := other.ask(`calls_total`); got == "" {
				return "the other has none"
			}
			return ""
		})
		in.put(`calls_total`, time.Now().Add(2*time.Millisecond), 7, "0af7")
		c, err := in.client().Config(context.Background())
		if err != nil || strings.Contains(c.YAML, "secret\n") || !strings.Contains(c.YAML, "<secret>") {
			t.Errorf("the configuration shows the password: %v %s", err, c.YAML)
		}
	})
	if got := other.ask(`calls_total`); !strings.HasPrefix(got, `calls_total{source="etude"} => 7 @`) {
		t.Errorf("the other has %q", got)
	}
	if user.Load() != "me secret" {
		t.Errorf("it is sent as %v", user.Load())
	}
	found, err := other.client().QueryExemplars(context.Background(), "calls_total", now.Add(-time.Minute), now.Add(time.Minute))
	if err != nil || len(found) != 1 || found[0].Exemplars[0].Labels["traceID"] != "0af7" {
		t.Errorf("exemplars sent: %v %v", found, err)
	}
}

// TestCloseDoesNotWaitForever closes while the remote end does not answer.
func TestCloseDoesNotWaitForever(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	deaf := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer deaf.Close()
	defer close(release)
	in := run(t, Options{RemoteWrite: []string{deaf.URL}})
	in.put(`calls_total`, time.Now(), 7, "")
	begin := time.Now()
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > flushRemote+5*time.Second {
		t.Errorf("closing took %s", took)
	}
}
