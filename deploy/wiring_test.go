package deploy

import (
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"text/template"
)

// traefikStatic names every key of Traefik's static configuration that we use.
type traefikStatic struct {
	EntryPoints map[string]struct {
		Address string `yaml:"address"`
		HTTP    struct {
			AliasHeadersStrategy string `yaml:"aliasHeadersStrategy"`
		} `yaml:"http"`
	} `yaml:"entryPoints"`
	API struct {
		Insecure  bool `yaml:"insecure"`
		Dashboard bool `yaml:"dashboard"`
	} `yaml:"api"`
	Ping      map[string]any `yaml:"ping"`
	Providers struct {
		File struct {
			Filename string `yaml:"filename"`
			Watch    bool   `yaml:"watch"`
		} `yaml:"file"`
	} `yaml:"providers"`
	Tracing struct {
		ServiceName   string  `yaml:"serviceName"`
		SampleRate    float64 `yaml:"sampleRate"`
		SpanNameLimit int     `yaml:"spanNameLimit"`
		OTLP          struct {
			GRPC struct {
				Endpoint string `yaml:"endpoint"`
				Insecure bool   `yaml:"insecure"`
			} `yaml:"grpc"`
		} `yaml:"otlp"`
		Jaeger struct {
			SamplingType  string  `yaml:"samplingType"`
			SamplingParam float64 `yaml:"samplingParam"`
			Propagation   string  `yaml:"propagation"`
			Gen128Bit     bool    `yaml:"gen128Bit"`
			Collector     struct {
				Endpoint string `yaml:"endpoint"`
			} `yaml:"collector"`
		} `yaml:"jaeger"`
	} `yaml:"tracing"`
	Metrics struct {
		Prometheus struct {
			Buckets              []float64 `yaml:"buckets"`
			AddEntryPointsLabels bool      `yaml:"addEntryPointsLabels"`
			AddServicesLabels    bool      `yaml:"addServicesLabels"`
		} `yaml:"prometheus"`
	} `yaml:"metrics"`
	Log struct {
		Level string `yaml:"level"`
	} `yaml:"log"`
	AccessLog map[string]any `yaml:"accessLog"`
	Global    struct {
		CheckNewVersion    bool `yaml:"checkNewVersion"`
		SendAnonymousUsage bool `yaml:"sendAnonymousUsage"`
	} `yaml:"global"`
}

type traefikDynamic struct {
	HTTP struct {
		Routers map[string]struct {
			Rule        string   `yaml:"rule"`
			EntryPoints []string `yaml:"entryPoints"`
			Service     string   `yaml:"service"`
		} `yaml:"routers"`
		Services map[string]struct {
			LoadBalancer struct {
				Servers []struct {
					URL string `yaml:"url"`
				} `yaml:"servers"`
			} `yaml:"loadBalancer"`
		} `yaml:"services"`
	} `yaml:"http"`
}

type endpoint struct {
	Endpoint string `yaml:"endpoint"`
}

// tempoConf names every key of Tempo's configuration that we use. Tempo refuses unknown keys, and
// so does this: `ingester` and `compactor`, which version 3 dropped, cannot slip in.
type tempoConf struct {
	StreamOverHTTP bool `yaml:"stream_over_http_enabled"`
	Server         struct {
		HTTPListenPort int `yaml:"http_listen_port"`
	} `yaml:"server"`
	Distributor struct {
		Receivers struct {
			OTLP struct {
				Protocols struct {
					GRPC endpoint `yaml:"grpc"`
					HTTP endpoint `yaml:"http"`
				} `yaml:"protocols"`
			} `yaml:"otlp"`
			Jaeger struct {
				Protocols struct {
					ThriftHTTP endpoint `yaml:"thrift_http"`
				} `yaml:"protocols"`
			} `yaml:"jaeger"`
			Zipkin endpoint `yaml:"zipkin"`
		} `yaml:"receivers"`
	} `yaml:"distributor"`
	LiveStore struct {
		MaxTraceIdle     string `yaml:"max_trace_idle"`
		MaxBlockDuration string `yaml:"max_block_duration"`
	} `yaml:"live_store"`
	QueryFrontend struct {
		QueryEndCutoff string `yaml:"query_end_cutoff"`
	} `yaml:"query_frontend"`
	Storage struct {
		Trace struct {
			Backend string `yaml:"backend"`
			WAL     struct {
				Path string `yaml:"path"`
			} `yaml:"wal"`
			Local struct {
				Path string `yaml:"path"`
			} `yaml:"local"`
		} `yaml:"trace"`
	} `yaml:"storage"`
	MetricsGenerator struct {
		Registry struct {
			ExternalLabels map[string]string `yaml:"external_labels"`
		} `yaml:"registry"`
		Storage struct {
			Path        string `yaml:"path"`
			RemoteWrite []struct {
				URL           string `yaml:"url"`
				SendExemplars bool   `yaml:"send_exemplars"`
			} `yaml:"remote_write"`
		} `yaml:"storage"`
	} `yaml:"metrics_generator"`
	Overrides struct {
		Defaults struct {
			Compaction struct {
				BlockRetention string `yaml:"block_retention"`
			} `yaml:"compaction"`
			MetricsGenerator struct {
				Processors []string `yaml:"processors"`
				Histograms string   `yaml:"generate_native_histograms"` // the dashboards ask for native ones
			} `yaml:"metrics_generator"`
		} `yaml:"defaults"`
	} `yaml:"overrides"`
	UsageReport struct {
		ReportingEnabled bool `yaml:"reporting_enabled"`
	} `yaml:"usage_report"`
}

type prometheusConf struct {
	Global struct {
		ScrapeInterval     string `yaml:"scrape_interval"`
		EvaluationInterval string `yaml:"evaluation_interval"`
	} `yaml:"global"`
	ScrapeConfigs []struct {
		JobName       string `yaml:"job_name"`
		Native        bool   `yaml:"scrape_native_histograms"`
		Classic       bool   `yaml:"always_scrape_classic_histograms"`
		StaticConfigs []struct {
			Targets []string `yaml:"targets"`
		} `yaml:"static_configs"`
	} `yaml:"scrape_configs"`
}

type grafanaDataSources struct {
	APIVersion  int `yaml:"apiVersion"`
	DataSources []struct {
		Name      string `yaml:"name"`
		Type      string `yaml:"type"`
		UID       string `yaml:"uid"`
		Access    string `yaml:"access"`
		URL       string `yaml:"url"`
		IsDefault bool   `yaml:"isDefault"`
		Editable  bool   `yaml:"editable"`
		JSONData  struct {
			HTTPMethod   string           `yaml:"httpMethod"`
			TimeInterval string           `yaml:"timeInterval"`
			Exemplars    []map[string]any `yaml:"exemplarTraceIdDestinations"`
			ServiceMap   struct {
				DatasourceUID string `yaml:"datasourceUid"`
			} `yaml:"serviceMap"`
			NodeGraph struct {
				Enabled bool `yaml:"enabled"`
			} `yaml:"nodeGraph"`
			TracesToMetrics tracesToMetrics `yaml:"tracesToMetrics"`
			Streaming       map[string]bool `yaml:"streamingEnabled"`
		} `yaml:"jsonData"`
	} `yaml:"datasources"`
}

type tracesToMetrics struct {
	DatasourceUID  string              `yaml:"datasourceUid"`
	SpanStartShift string              `yaml:"spanStartTimeShift"`
	SpanEndShift   string              `yaml:"spanEndTimeShift"`
	Tags           []map[string]string `yaml:"tags"`
	Queries        []struct {
		Name  string `yaml:"name"`
		Query string `yaml:"query"`
	} `yaml:"queries"`
}

// open is every host:port that something in the real stack listens on, inside its network.
func open(t *testing.T) map[string]bool {
	t.Helper()
	ports := map[string]bool{}
	for service, s := range readCompose(t, "compose.yaml").Services {
		for _, port := range s.Ports {
			_, inside, _ := strings.Cut(strings.TrimPrefix(port, "127.0.0.1:"), ":")
			ports[service+":"+inside] = true
		}
	}
	return ports
}

// TestTraefik: both versions serve the demo's ports from the same routes, and send to Tempo.
func TestTraefik(t *testing.T) {
	t.Parallel()
	var v2, v3 traefikStatic
	decodeStrict(t, "conf/traefik/traefik.yaml", &v3)
	decodeStrict(t, "conf/traefik/traefik-v2.yaml", &v2)
	for name, static := range map[string]traefikStatic{"traefik.yaml": v3, "traefik-v2.yaml": v2} {
		if static.EntryPoints["web"].Address != ":80" || !static.API.Insecure {
			t.Errorf("%s: entry point web %v, dashboard %v", name, static.EntryPoints, static.API)
		}
		if file := static.Providers.File; file.Filename != "/etc/traefik/dynamic.yaml" || !file.Watch {
			t.Errorf("%s reads its routes from %+v", name, file)
		}
		if static.Tracing.ServiceName != "traefik" {
			t.Errorf("%s: service name %q", name, static.Tracing.ServiceName)
		}
		if m := static.Metrics.Prometheus; !m.AddEntryPointsLabels || !m.AddServicesLabels {
			t.Errorf("%s: no metrics by entry point and service: %+v", name, m)
		}
	}

	otlp := v3.Tracing.OTLP.GRPC
	if !open(t)[otlp.Endpoint] || !otlp.Insecure || v3.Tracing.SampleRate != 1 {
		t.Errorf("traefik.yaml traces to %+v, rate %v", otlp, v3.Tracing.SampleRate)
	}
	if v3.Ping == nil {
		t.Error("traefik.yaml: the health check asks for ping, which is off")
	}
	jaeger := v2.Tracing.Jaeger
	collector, err := url.Parse(jaeger.Collector.Endpoint)
	if err != nil || !open(t)[collector.Host] || collector.Path != "/api/traces" {
		t.Errorf("traefik-v2.yaml traces to %q", jaeger.Collector.Endpoint)
	}
	if jaeger.SamplingType != "const" || jaeger.SamplingParam != 1 || jaeger.Propagation != "jaeger" || jaeger.Gen128Bit {
		t.Errorf("traefik-v2.yaml: %+v", jaeger)
	}

	main := readCompose(t, "compose.yaml").Services["traefik"]
	if main.Environment["OTEL_PROPAGATORS"] != "jaeger" {
		t.Errorf("Traefik 3 would not send uber-trace-id: %v", main.Environment)
	}
	old := readCompose(t, "compose.jaeger.yaml").Services["traefik"]
	if !slices.Equal(old.Command, []string{"--configFile=/etc/traefik/traefik-v2.yaml"}) {
		t.Errorf("compose.jaeger.yaml starts Traefik with %q", old.Command)
	}
}

// TestRoutesMeetServices: every route leads to a service of both compose files, on the port where
// it listens, and every service has a route.
func TestRoutesMeetServices(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	routes := template.Must(template.New("dynamic.yaml").
		Funcs(template.FuncMap{"env": os.Getenv}).
		Parse(readFile(t, "conf/traefik/dynamic.yaml")))
	if err := routes.Execute(&text, nil); err != nil {
		t.Fatal(err)
	}
	var dynamic traefikDynamic
	decodeYAML(t, "conf/traefik/dynamic.yaml", text.String(), &dynamic)

	want := []string{"uservice1", "uservice2", "uservice3", "uservice4"}
	if got := slices.Sorted(maps.Keys(dynamic.HTTP.Routers)); !slices.Equal(got, want) {
		t.Errorf("routers %q, want %q", got, want)
	}
	for name, router := range dynamic.HTTP.Routers {
		rule := "Host(`" + name + ".localhost`) || PathPrefix(`/" + name + "`)"
		if router.Rule != rule || router.Service != name || !slices.Equal(router.EntryPoints, []string{"web"}) {
			t.Errorf("router %s: %+v, want rule %s", name, router, rule)
		}
	}
	if got := slices.Sorted(maps.Keys(dynamic.HTTP.Services)); !slices.Equal(got, want) {
		t.Errorf("services %q, want %q", got, want)
	}
	for _, file := range []string{"compose.yaml", "compose.etude.yaml"} {
		services := readCompose(t, file).Services
		for name, service := range dynamic.HTTP.Services {
			servers := service.LoadBalancer.Servers
			if len(servers) != 1 || servers[0].URL != "http://"+name+":7878" {
				t.Errorf("dynamic.yaml: servers of %s are %v", name, servers)
			}
			if got := services[name].Environment["ETUDE_LISTEN_ADDR"]; got != "[::]:7878" {
				t.Errorf("%s: %s listens on %q", file, name, got)
			}
			if got := services[name].Command; !slices.Equal(got, []string{name}) {
				t.Errorf("%s: %s runs %q", file, name, got)
			}
		}
	}
}

// TestServicesCallEachOther: 1 calls 2 and 3 calls 4; 3 and 4 send spans to the backend over gRPC.
func TestServicesCallEachOther(t *testing.T) {
	t.Parallel()
	for file, backend := range map[string]string{"compose.yaml": "tempo", "compose.etude.yaml": "backend"} {
		services := readCompose(t, file).Services
		for caller, next := range map[string]string{
			"uservice1": "http://uservice2:7878/", "uservice2": "", "uservice3": "http://uservice4:7878/", "uservice4": "",
		} {
			if got := services[caller].Environment["ETUDE_NEXT_URL"]; got != next {
				t.Errorf("%s: %s calls %q, want %q", file, caller, got, next)
			}
		}
		for _, name := range []string{"uservice3", "uservice4"} {
			env := services[name].Environment
			if env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] != "http://"+backend+":4317" || env["OTEL_PROPAGATORS"] != "jaeger" {
				t.Errorf("%s: %s has %v", file, name, env)
			}
		}
	}
}

// TestPageLinks: the links that compose.etude.yaml gives to the page lead to published ports.
func TestPageLinks(t *testing.T) {
	t.Parallel()
	file := readCompose(t, "compose.etude.yaml")
	var info struct {
		Links struct {
			Edge, Dashboard, Prometheus, API, OTLPGRPC, OTLPHTTP, Jaeger string

			Services []struct{ Name, Direct, Edge, EdgePath string }
		}
	}
	decoder := json.NewDecoder(strings.NewReader(file.Services["backend"].Environment["ETUDE_PAGE_INFO"]))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&info); err != nil {
		t.Fatal(err)
	}
	ports := map[string]string{}
	for service, s := range file.Services {
		for _, port := range s.Ports {
			host, inside, _ := strings.Cut(strings.TrimPrefix(port, "127.0.0.1:"), ":")
			ports[service+":"+inside] = host
		}
	}
	links := info.Links
	edge := "http://localhost:" + ports["edge:80"]
	want := map[string]string{
		links.Edge:       edge,
		links.Dashboard:  "http://localhost:" + ports["edge:8080"] + "/dashboard/",
		links.Prometheus: "http://localhost:" + ports["backend:9090"] + "/",
		links.API:        "http://localhost:" + ports["backend:3200"],
		links.OTLPGRPC:   "localhost:" + ports["backend:4317"],
		links.OTLPHTTP:   "http://localhost:" + ports["backend:4318"],
		links.Jaeger:     "http://localhost:" + ports["backend:14268"],
	}
	for _, s := range links.Services {
		want[s.Direct] = "http://localhost:" + ports[s.Name+":7878"] + "/"
		want[s.Edge] = "http://" + s.Name + ".localhost:" + ports["edge:80"] + "/"
		want[s.EdgePath] = edge + "/" + s.Name + "/"
	}
	if len(want) != 7+3*4 {
		t.Errorf("%d different links, want 19", len(want))
	}
	for got, link := range want {
		if got != link {
			t.Errorf("link %q, want %q", got, link)
		}
	}
}

// TestTempo: each receiver listens where compose publishes it, and the generated metrics go to
// Prometheus with the demo's labels.
func TestTempo(t *testing.T) {
	t.Parallel()
	var tempo tempoConf
	decodeStrict(t, "conf/tempo.yaml", &tempo)
	receivers := tempo.Distributor.Receivers
	for receiver, got := range map[string]string{
		"4317":  receivers.OTLP.Protocols.GRPC.Endpoint,
		"4318":  receivers.OTLP.Protocols.HTTP.Endpoint,
		"14268": receivers.Jaeger.Protocols.ThriftHTTP.Endpoint,
		"9411":  receivers.Zipkin.Endpoint,
	} {
		if got != "0.0.0.0:"+receiver || !open(t)["tempo:"+receiver] {
			t.Errorf("receiver %s listens on %q", receiver, got)
		}
	}
	if tempo.Server.HTTPListenPort != 3200 {
		t.Errorf("API on port %d", tempo.Server.HTTPListenPort)
	}
	trace := tempo.Storage.Trace
	for _, path := range []string{trace.WAL.Path, trace.Local.Path, tempo.MetricsGenerator.Storage.Path} {
		if !strings.HasPrefix(path, "/var/tempo/") {
			t.Errorf("%q is not on the volume", path)
		}
	}
	if defaults := tempo.Overrides.Defaults; defaults.Compaction.BlockRetention != "1h" ||
		!slices.Equal(defaults.MetricsGenerator.Processors, []string{"service-graphs", "span-metrics"}) || defaults.MetricsGenerator.Histograms != "both" {
		t.Errorf("overrides: %+v", defaults)
	}
	labels := map[string]string{"source": "tempo", "cluster": "docker-compose"}
	if got := tempo.MetricsGenerator.Registry.ExternalLabels; !maps.Equal(got, labels) {
		t.Errorf("labels %v, want %v", got, labels)
	}
	for _, write := range tempo.MetricsGenerator.Storage.RemoteWrite {
		target, err := url.Parse(write.URL)
		if err != nil || !open(t)[target.Host] || target.Path != "/api/v1/write" || !write.SendExemplars {
			t.Errorf("metrics are written to %+v", write)
		}
	}
	if len(tempo.MetricsGenerator.Storage.RemoteWrite) != 1 {
		t.Errorf("metrics are written to %d places", len(tempo.MetricsGenerator.Storage.RemoteWrite))
	}
}

func TestPrometheus(t *testing.T) {
	t.Parallel()
	var prometheus prometheusConf
	decodeStrict(t, "conf/prometheus.yaml", &prometheus)
	if prometheus.Global.ScrapeInterval != "15s" {
		t.Errorf("scrapes every %s", prometheus.Global.ScrapeInterval)
	}
	got := map[string][]string{}
	for _, job := range prometheus.ScrapeConfigs {
		if wants := job.JobName == "tempo"; job.Native != wants || job.Classic != wants { // etude's dashboard asks for native ones
			t.Errorf("job %s: native histograms %v, classic ones beside them %v", job.JobName, job.Native, job.Classic)
		}
		for _, static := range job.StaticConfigs {
			got[job.JobName] = append(got[job.JobName], static.Targets...)
		}
	}
	want := map[string][]string{"prometheus": {"localhost:9090"}, "tempo": {"tempo:3200"}, "traefik": {"traefik:8080"}}
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("scrapes %v, want %v", got, want)
	}
	command := readCompose(t, "compose.yaml").Services["prometheus"].Command
	for _, flag := range []string{"--enable-feature=exemplar-storage", "--web.enable-remote-write-receiver"} {
		if !slices.Contains(command, flag) {
			t.Errorf("Prometheus runs without %s", flag)
		}
	}
}

func TestGrafana(t *testing.T) {
	t.Parallel()
	var sources grafanaDataSources
	decodeStrict(t, "conf/grafana/provisioning/datasources/datasources.yaml", &sources)
	uids := map[string]bool{}
	for _, source := range sources.DataSources {
		uids[source.UID] = true
		target, err := url.Parse(source.URL)
		if err != nil || !open(t)[target.Host] {
			t.Errorf("data source %s asks %q", source.Name, source.URL)
		}
		if source.IsDefault != (source.UID == "tempo") || source.Type != source.UID {
			t.Errorf("data source %s: %+v", source.Name, source)
		}
		if source.UID == "tempo" && source.JSONData.ServiceMap.DatasourceUID != "prometheus" {
			t.Errorf("service map from %q", source.JSONData.ServiceMap.DatasourceUID)
		}
		if to := source.JSONData.TracesToMetrics; source.UID == "tempo" && (to.DatasourceUID != "prometheus" || len(to.Queries) == 0 || !source.JSONData.NodeGraph.Enabled) {
			t.Errorf("from a span to metrics: %+v, node graph %v", to, source.JSONData.NodeGraph)
		}
		if to := source.JSONData.Exemplars; source.UID == "prometheus" && (len(to) != 1 || to[0]["name"] != "traceID" || to[0]["datasourceUid"] != "tempo") {
			t.Errorf("exemplars lead to %v", to)
		}
	}
	if !uids["tempo"] || !uids["prometheus"] || len(uids) != 2 {
		t.Errorf("data sources %v", uids)
	}
	env := readCompose(t, "compose.yaml").Services["grafana"].Environment
	if env["GF_AUTH_ANONYMOUS_ENABLED"] != "true" || env["GF_AUTH_ANONYMOUS_ORG_ROLE"] != "Admin" || env["GF_AUTH_DISABLE_LOGIN_FORM"] != "true" {
		t.Errorf("Grafana would ask for a login: %v", env)
	}
}
