package door

import (
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	bothToken   = "both-0123456789abcdef"
	ingestToken = "ingest-0123456789abcdef"
	queryToken  = "query-0123456789abcdef"
)

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func tokensOf(t *testing.T, text string, extra ...string) (*Tokens, string) {
	t.Helper()
	file := writeFile(t, filepath.Join(t.TempDir(), "tokens"), text)
	tokens, err := LoadTokens(file, slog.New(slog.DiscardHandler), extra...)
	if err != nil {
		t.Fatal(err)
	}
	return tokens, file
}

func TestTokens(t *testing.T) {
	t.Parallel()
	tokens, _ := tokensOf(t, "# of the team\n\n"+bothToken+"\r\ningest "+ingestToken+"\n  query\t"+queryToken+"  \n", "extra-0123456789abcdef", "")
	basic := func(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }
	for authorization, want := range map[string]Role{
		"Bearer " + bothToken:                  Ingest | Query,
		"bearer  " + bothToken:                 Ingest | Query,
		"Bearer " + ingestToken:                Ingest,
		"Bearer " + queryToken:                 Query,
		"Bearer extra-0123456789abcdef":        Ingest | Query,
		basic("ann:" + queryToken):             Query,
		basic(":" + bothToken):                 Ingest | Query,
		basic(bothToken):                       0,
		basic(bothToken + ":"):                 0,
		"Basic " + bothToken:                   0,
		"":                                     0,
		"Bearer":                               0,
		"Bearer ":                              0,
		"Bearer " + bothToken[1:]:              0,
		"Bearer " + bothToken + "x":            0,
		"Bearer ingest " + ingestToken:         0,
		"Token " + bothToken:                   0,
		bothToken:                              0,
		"Bearer " + bothToken + "\x00":         0,
		"Bearer # of the team":                 0,
		"Bearer " + strings.ToUpper(bothToken): 0,
	} {
		for _, role := range []Role{Ingest, Query} {
			if got := tokens.Allow(authorization, role); got != (want&role != 0) {
				t.Errorf("%q for role %d: %v", authorization, role, got)
			}
		}
	}
	if none := (*Tokens)(nil); !none.Allow("", Query) {
		t.Error("without tokens everybody may come in")
	}
}

func TestTokensFollowTheirFile(t *testing.T) {
	t.Parallel()
	tokens, file := tokensOf(t, bothToken)
	now := time.Now()
	tokens.list.now = func() time.Time { now = now.Add(checkEvery); return now }
	writeFile(t, file, bothToken+"\n"+queryToken+"\n")
	if !tokens.Allow("Bearer "+bothToken, Query) || !tokens.Allow("Bearer "+queryToken, Query) {
		t.Error("while tokens change both must be good")
	}
	writeFile(t, file, queryToken+"\n")
	if tokens.Allow("Bearer "+bothToken, Query) {
		t.Error("a token that was removed is still good")
	}
	for _, broken := range []string{"", "short", "reader " + queryToken + " x"} {
		writeFile(t, file, broken)
		if !tokens.Allow("Bearer "+queryToken, Query) {
			t.Errorf("the file with %q has shut everybody out", broken)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if !tokens.Allow("Bearer "+queryToken, Query) {
		t.Error("without the file the tokens are gone")
	}
}

func TestTokensAreChecked(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                     "no token",
		"# nothing":                            "no token",
		"secret-word":                          "line 1: the token is shorter than 16",
		"\nadmin " + bothToken:                 "line 2: want TOKEN, ingest TOKEN or query TOKEN",
		"query " + bothToken + " " + bothToken: "line 1: want",
	} {
		_, err := parseTokens(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), bothToken) || strings.Contains(err.Error(), "secret-word")) {
			t.Errorf("the error repeats a token: %v", err)
		}
	}
	if _, err := LoadTokens(filepath.Join(t.TempDir(), "missing"), slog.Default()); err == nil {
		t.Error("a missing file is no error")
	}
}

func TestFirstToken(t *testing.T) {
	t.Parallel()
	file := writeFile(t, filepath.Join(t.TempDir(), "tokens"), "# x\nquery "+queryToken+"\ningest "+ingestToken+"\n"+bothToken)
	for role, want := range map[Role]string{Query: queryToken, Ingest: ingestToken, Ingest | Query: bothToken} {
		if got, err := FirstToken(file, role); got != want || err != nil {
			t.Errorf("role %d: %q, %v", role, got, err)
		}
	}
	if _, err := FirstToken(writeFile(t, file, "query "+queryToken), Ingest); err == nil {
		t.Error("a file without a token for ingest gives one")
	}
}

func TestGuardWantsToken(t *testing.T) {
	t.Parallel()
	tokens, _ := tokensOf(t, "query "+queryToken+"\ningest "+ingestToken)
	g := strict(t)
	g.Tokens, g.Open = tokens, []string{"/own"}
	h := guarded(t, g)
	if w := ask(h, "GET", "/found", "Authorization", "Bearer "+queryToken); w.Code != 200 {
		t.Errorf("with a token: %d %s", w.Code, w.Body)
	}
	if w := ask(h, "GET", "/own"); w.Code != 200 {
		t.Errorf("an open path: %d %s", w.Code, w.Body)
	}
	for _, bad := range []string{"", "Bearer " + ingestToken} {
		w := ask(h, "GET", "/found", "Authorization", bad)
		ways := strings.Join(w.Header().Values("WWW-Authenticate"), "; ")
		if w.Code != 401 || !strings.Contains(ways, "Bearer realm") || !strings.Contains(ways, "Basic realm") || !strings.Contains(w.Body.String(), "--auth-token-file") {
			t.Errorf("Authorization %q: %d %q %s", bad, w.Code, ways, w.Body)
		}
	}
	w := ask(h, "POST", "/found", "Content-Type", "application/grpc+proto")
	if w.Code != 200 || w.Header().Get("Grpc-Status") != "16" || w.Body.Len() > 0 {
		t.Errorf("gRPC: %d %v", w.Code, w.Header())
	}
}

func FuzzTokens(f *testing.F) {
	f.Add("ingest a\n", "Bearer a")
	f.Add(bothToken, "Basic eDp5")
	f.Fuzz(func(t *testing.T, file, authorization string) {
		tokens, err := parseTokens(file)
		if err == nil && len(tokens) == 0 {
			t.Error("no token and no error")
		}
		if c := credential(authorization); c != "" && !strings.Contains(authorization, " ") {
			t.Errorf("%q has the credential %q", authorization, c)
		}
	})
}
