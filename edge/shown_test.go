package edge

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"
)

func TestRedactedURLs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ sent, want string }{
		{"/a?b=c&d", "/a?b=c&d"}, {"/a?", "/a?"}, {"/", "/"}, {"/a?x=1;y=2&&z", "/a?x=1;y=2&&z"},
		{"/?token=abc", "/?token=REDACTED"}, {"/?a=1&access_token=abc&b=2", "/?a=1&access_token=REDACTED&b=2"}, {"/?id_token=x;refreshToken=y", "/?id_token=REDACTED;refreshToken=REDACTED"},
		{"/?Password=x&PASSWD=y&pwd=z&user=u", "/?Password=REDACTED&PASSWD=REDACTED&pwd=REDACTED&user=u"}, {"/?user[password]=x", "/?user[password]=REDACTED"},
		{"/?key=x&api_key=y&apiKey=z&api-key=w&apikey=v&keyword=k&monkey=m", "/?key=REDACTED&api_key=REDACTED&apiKey=REDACTED&api-key=REDACTED&apikey=REDACTED&keyword=k&monkey=m"},
		{"/?secret=x&client_secret=y&clientSecret=z", "/?secret=REDACTED&client_secret=REDACTED&clientSecret=REDACTED"},
		{"/?signature=x&sig=y&X-Amz-Signature=z&X-Amz-Credential=c&X-Amz-Security-Token=t&X-Goog-Signature=g&X-Amz-Date=d&AWSAccessKeyId=a",
			"/?signature=REDACTED&sig=REDACTED&X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED&X-Amz-Security-Token=REDACTED&X-Goog-Signature=REDACTED&X-Amz-Date=d&AWSAccessKeyId=REDACTED"},
		{"/cb?code=x&state=s&country_code=de&zip_code=1&auth_code=y", "/cb?code=REDACTED&state=s&country_code=de&zip_code=1&auth_code=REDACTED"},
		{"/?%74oken=x&to%6ben=y&%2574oken=z", "/?%74oken=REDACTED&to%6ben=REDACTED&%2574oken=REDACTED"},
		{"/?token=&token&token=a=b", "/?token=&token&token=REDACTED"}, {"/?token[]=a&token[0]=b&password2=c&password_confirmation=d", "/?token[]=REDACTED&token[0]=REDACTED&password2=REDACTED&password_confirmation=REDACTED"},
		{"/?session=x&sessionid=y&PHPSESSID=z&jsessionid=w&sid=v", "/?session=REDACTED&sessionid=REDACTED&PHPSESSID=REDACTED&jsessionid=REDACTED&sid=REDACTED"},
		{"/?authorization=x&auth=y&author=z&jwt=j&otp=1&pin=2&pass=p&spin=3", "/?authorization=REDACTED&auth=REDACTED&author=z&jwt=REDACTED&otp=REDACTED&pin=REDACTED&pass=REDACTED&spin=3"},
		{"/?SAMLResponse=x&client_assertion=y&code_verifier=z", "/?SAMLResponse=REDACTED&client_assertion=REDACTED&code_verifier=REDACTED"},
		{"/?q=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "/?q=REDACTED"}, {"/?eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "/?REDACTED"},
		{"/?h=Bearer%20abc&g=basic+abc", "/?h=REDACTED&g=REDACTED"},
		{"/?next=https://user:pw@host/x", "/?next=REDACTED"}, {"/?next=https%3A%2F%2Fuser%3Apw%40host%2Fx", "/?next=REDACTED"}, {"/?next=https://host/x@y", "/?next=https://host/x@y"},
		{"/fetch/http:/user:pw@host/x", "/fetch/http:/REDACTED@host/x"}, {"/fetch/user%3Apw@host", "/fetch/REDACTED@host"}, {"/@user:host/a@b", "/@user:host/a@b"},
		{"http://user:pw@host/x?a=b", "/x?a=b"},
	} {
		u, err := url.ParseRequestURI(tt.sent)
		if err != nil {
			t.Fatal(err)
		}
		if got := shownURL(u, false); got != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.sent, got, tt.want)
		}
		if got := shownURL(u, true); u.Host == "" && got != tt.sent {
			t.Errorf("%s whole is %s", tt.sent, got)
		}
	}
	long := &url.URL{Path: "/", RawQuery: "a=" + strings.Repeat("x", 1<<20)}
	if got := shownURL(long, false); len(got) > maxShownURL+8 {
		t.Errorf("a URL of 1 MiB is shown in %d bytes", len(got))
	}
	if got := shownHost("user:pw@host:80"); got != "host:80" {
		t.Errorf("host %s", got)
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain, é 漢 🙂": "plain, é 漢 🙂", "\x1b[31mred": `\u001b[31mred`, "a\nb\r\tc\x00\x7f": `a\u000ab\u000d\u0009c\u0000\u007f`,
		"\u009b31m": `\u009b31m`, "\u0085x": `\u0085x`, "\x9b31m": `\x9b31m`, "\xff": `\xff`, "\u202egnp.exe": `\u202egnp.exe`, "\u2066x\u2069": `\u2066x\u2069`,
		"\u200f": `\u200f`, "\u061c": `\u061c`, "\u2028\u2029": `\u2028\u2029`, "\ufeff": `\ufeff`, "\U000e0001": `\ue0001`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q is shown as %s, want %s", in, got, want)
		}
	}
}

// TestStrangersChooseNoNames sends requests in which everything that a client may
// choose is random, and wants few names of spans, and few methods.
func TestStrangersChooseNoNames(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	service := serve(t, func(http.ResponseWriter, *http.Request) {})
	e := start(t, Options{JaegerEndpoint: c.URL, ConfigText: configFor("Host(`known.localhost`) || HostRegexp(`^r[0-9]+\\.localhost$`) || PathPrefix(`/known`)", service.URL)})
	const rounds = 10
	for i := range rounds {
		for _, tt := range []struct{ method, host, path string }{
			{"GET", "known.localhost", "/"}, {"GET", fmt.Sprint("KNOWN.localhost:", 2000+i), "/"}, {"GET", fmt.Sprintf("h%d.localhost", i), "/known"},
			{"GET", fmt.Sprintf("r%d.localhost", i), "/"}, {"GET", fmt.Sprintf("unknown%d", i), "/"}, {fmt.Sprint("BREW", i), "known.localhost", fmt.Sprint("/", i)},
			{"GET", "localhost:1", "/known"}, {"GET", fmt.Sprintf("u:p%d@known.localhost", i), "/known"}, {"GET", fmt.Sprintf("h%d", i), "/../..;/"},
		} {
			ask(t, e.web, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", tt.method, tt.path, tt.host))
		}
	}
	if err := e.stop(); err != nil {
		t.Fatal(err)
	}
	names, methods := map[string]bool{}, map[string]bool{}
	for _, span := range c.spans() {
		names[span.OperationName], methods[tags(span.Tags)["http.method"]] = true, true
		if host := tags(span.Tags)["http.host"]; strings.Contains(host, "@") {
			t.Errorf("http.host %s", host)
		}
	}
	want := []string{"EntryPoint web", "EntryPoint web known.localhost", "EntryPoint web localhost", "forward s/all@file"}
	if got := slices.Sorted(mapKeys(names)); !slices.Equal(got, want) {
		t.Errorf("names of spans %q, want %q", got, want)
	}
	if got := slices.Sorted(mapKeys(methods)); !slices.Equal(got, []string{"GET", "_OTHER"}) {
		t.Errorf("methods %q", got)
	}
}

func mapKeys(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// TestSecretsAreShownNowhere: neither spans nor the access log nor the dashboard's
// API nor /metrics hold a password that the edge has seen.
func TestSecretsAreShownNowhere(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	service := serve(t, func(http.ResponseWriter, *http.Request) {})
	withUser := strings.Replace(service.URL, "http://", "http://user:"+secret+"@", 1)
	for _, whole := range []bool{false, true} {
		c := newCollector(t)
		e := start(t, Options{JaegerEndpoint: strings.Replace(c.URL, "http://", "http://user:"+secret+"@", 1), AccessLog: true, WholeURLs: whole,
			ConfigText: configFor("Host(`a`)", withUser)})
		get(t, e.web, "a", "/x?token="+secret+"&b=\u009b1m", "Authorization", "Bearer "+secret, "Cookie", "sid="+secret)
		get(t, e.web, "unknown", "/x?password="+secret)
		eventually(t, func() bool { return strings.Count(e.log.String(), "msg=request") == 2 })
		var shown strings.Builder
		for _, path := range []string{"/api/rawdata", "/api/stats", "/api/http/services", "/metrics", "/api/overview"} {
			_, body := get(t, e.dashboard, "", path)
			shown.WriteString(body)
		}
		if strings.Contains(shown.String(), secret) {
			t.Errorf("the dashboard shows the secret: %s", shown.String())
		}
		if err := e.stop(); err != nil {
			t.Fatal(err)
		}
		shown.Reset()
		shown.WriteString(e.log.String())
		for _, span := range c.spans() {
			shown.WriteString(span.String())
		}
		if got := strings.Contains(shown.String(), secret); got != whole {
			t.Errorf("whole URLs: %v; the secret is shown: %v: %s", whole, got, shown.String())
		}
		if strings.ContainsFunc(e.log.String(), func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
			t.Errorf("the log holds control characters: %q", e.log)
		}
	}
}

func FuzzRedactQuery(f *testing.F) {
	for _, seed := range []string{"a=b&token=c", "%74oken=c;x", "&&;;=", "token", "a=%zz&key=%zz"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		shown := redactQuery(query)
		if again := redactQuery(shown); again != shown {
			t.Fatalf("%q: redacting twice gives %q, then %q", query, shown, again)
		}
		values, _ := url.ParseQuery(shown)
		for _, key := range []string{"token", "password", "api_key", "code", "signature"} {
			for _, value := range values[key] {
				if value != "" && value != redacted {
					t.Fatalf("%q is shown as %q", query, shown)
				}
			}
		}
	})
}
