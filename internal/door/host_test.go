package door

import (
	"net"
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	plain, _ := NewHosts(nil)
	wider, err := NewHosts([]string{"Etude.example.org", "*.lan", "192.168.1.5", "[fd00::1]"})
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]struct{ plain, wider bool }{
		"localhost":                     {true, true},
		"LocalHost:3000":                {true, true},
		"localhost.":                    {true, true},
		"localhost.:3000":               {true, true},
		"localhost:":                    {true, true},
		"uservice3.localhost":           {true, true},
		"127.0.0.1:3200":                {true, true},
		"127.9.9.9":                     {true, true},
		"[::1]:3200":                    {true, true},
		"[::1]":                         {true, true},
		"::1":                           {true, true},
		"[0:0:0:0:0:0:0:1]:80":          {true, true},
		"[::ffff:127.0.0.1]:80":         {true, true},
		"host.docker.internal:3200":     {true, true},
		"gateway.docker.internal":       {true, true},
		"host.containers.internal":      {true, true},
		"host.minikube.internal":        {true, true},
		"etude.example.org":             {false, true},
		"ETUDE.example.org.:443":        {false, true},
		"box.lan:3000":                  {false, true},
		"lan":                           {false, false},
		"192.168.1.5:3200":              {false, true},
		"[fd00:0::1]:3200":              {false, true},
		"":                              {false, false},
		".":                             {false, false},
		".localhost":                    {false, false},
		"0.0.0.0:3000":                  {false, false},
		"[::]:3000":                     {false, false},
		"evil.example":                  {false, false},
		"evil.example:3000":             {false, false},
		"localhost.evil.example":        {false, false},
		"notlocalhost":                  {false, false},
		"127.0.0.1.evil.example":        {false, false},
		"127.1":                         {false, false},
		"2130706433":                    {false, false},
		"0x7f.0.0.1":                    {false, false},
		"0177.0.0.1":                    {false, false},
		"localhost:80@evil.example":     {false, false},
		"evil.example#@localhost":       {false, false},
		"localhost:evil":                {false, false},
		"localhost:70000":               {false, false},
		"localhost:+80":                 {false, false},
		"[::1]evil.example":             {false, false},
		"[::1].evil.example:80":         {false, false},
		"[localhost]":                   {false, false},
		"[::1":                          {false, false},
		"[evil]:80":                     {false, false},
		"etude.example.org.evil":        {false, false},
		"xetude.example.org":            {false, false},
		"localhost\x00.evil.example":    {false, false},
		"host.docker.internal.evil.com": {false, false},
	} {
		if got := plain.Allow(host); got != want.plain {
			t.Errorf("Host %q: %v, want %v", host, got, want.plain)
		}
		if got := wider.Allow(host); got != want.wider {
			t.Errorf("Host %q with hosts allowed: %v, want %v", host, got, want.wider)
		}
	}
	if any, _ := NewHosts([]string{"*"}); !any.Allow("evil.example") {
		t.Error("* does not allow every host")
	}
	if strings.Join(machineNames, " ") != "localhost host.docker.internal gateway.docker.internal host.containers.internal host.minikube.internal" {
		t.Error("allowing hosts has changed the names that every listener has")
	}
}

func TestNewHostsRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "https://x.example", "a b", "a.*.b", "*.*.x", "x/y", "[::1"} {
		if _, err := NewHosts([]string{text}); err == nil {
			t.Errorf("%q is taken for a host", text)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	tcp := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip)} }
	for _, c := range []struct {
		addrs []net.Addr
		want  bool
	}{
		{[]net.Addr{tcp("127.0.0.1")}, true},
		{[]net.Addr{tcp("127.0.0.1"), tcp("::1")}, true},
		{[]net.Addr{tcp("127.0.0.1"), tcp("192.168.1.5")}, false},
		{[]net.Addr{tcp("::")}, false},
		{[]net.Addr{&net.TCPAddr{}}, false},
		{nil, false},
	} {
		if got := IsLoopback(c.addrs...); got != c.want {
			t.Errorf("IsLoopback(%v) = %v", c.addrs, got)
		}
	}
}

// FuzzHost: whatever is sent, a Host that is allowed without more is one of this
// machine's names.
func FuzzHost(f *testing.F) {
	for _, seed := range []string{"localhost", "127.0.0.1:80", "[::1]:80", "a.localhost.", "evil", "[::1", ":", "[]"} {
		f.Add(seed)
	}
	hosts, _ := NewHosts(nil)
	f.Fuzz(func(t *testing.T, host string) {
		if !hosts.Allow(host) {
			return
		}
		lower := strings.ToLower(host)
		if !strings.Contains(lower, "localhost") && !strings.Contains(lower, ".internal") && !strings.Contains(lower, "127.") && !strings.Contains(lower, ":") {
			t.Errorf("Host %q is allowed", host)
		}
		if strings.ContainsAny(host, "@/# \x00") && !strings.Contains(lower, "localhost") {
			t.Errorf("Host %q is allowed", host)
		}
	})
}
