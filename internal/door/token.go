package door

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
)

// Role is the permission that a token gives.
type Role uint8

const (
	Ingest Role = 1 << iota // sending spans, metrics and logs
	Query                   // reading, and everything else
)

// Tokens are the bearer tokens that this server accepts. They are reloaded when their file changes. A nil
// *Tokens allows every client.
type Tokens struct {
	list  *reloaded[[]token]
	extra []token
}

// token keeps a digest. All digests have the same length, so a comparison takes constant time.
type token struct {
	digest [sha256.Size]byte
	roles  Role
}

// minToken is the minimum length of a token in bytes; shorter ones could be guessed.
const minToken = 16

// LoadTokens reads a file of tokens, one a line. A line is a token with all permissions, or the word ingest or
// query and a token with that permission only. Several tokens may be valid at once, so that clients can be
// changed one after the other. Lines that begin with # are comments. The extra tokens have all permissions.
func LoadTokens(file string, log *slog.Logger, extra ...string) (*Tokens, error) {
	list, err := newReloaded(log, func() ([]token, error) { return readTokens(file) }, file)
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	t := &Tokens{list: list}
	for _, text := range extra {
		if text != "" {
			t.extra = append(t.extra, token{sha256.Sum256([]byte(text)), Ingest | Query})
		}
	}
	return t, nil
}

func readTokens(file string) ([]token, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	tokens, err := parseTokens(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return tokens, nil
}

// parseTokens never repeats a token in an error.
func parseTokens(text string) (tokens []token, err error) {
	for n, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		roles := Ingest | Query
		if len(words) == 2 {
			switch words[0] {
			case "ingest":
				roles = Ingest
			case "query":
				roles = Query
			default:
				return nil, fmt.Errorf("line %d: want TOKEN, ingest TOKEN or query TOKEN", n+1)
			}
			words = words[1:]
		}
		if len(words) != 1 {
			return nil, fmt.Errorf("line %d: want TOKEN, ingest TOKEN or query TOKEN", n+1)
		}
		if len(words[0]) < minToken {
			return nil, fmt.Errorf("line %d: the token is shorter than %d characters", n+1, minToken)
		}
		tokens = append(tokens, token{sha256.Sum256([]byte(words[0])), roles})
	}
	if len(tokens) == 0 {
		return nil, errors.New("the file contains no token: want one a line")
	}
	return tokens, nil
}

// Allow reports whether the value of an Authorization header gives a role. Its duration depends only on the
// number of tokens.
func (t *Tokens) Allow(authorization string, role Role) bool {
	if t == nil {
		return true
	}
	digest := sha256.Sum256([]byte(credential(authorization)))
	good := 0
	for _, list := range [][]token{t.list.get(), t.extra} {
		for i := range list {
			same := subtle.ConstantTimeCompare(digest[:], list[i].digest[:])
			if list[i].roles&role != 0 {
				good |= same
			}
		}
	}
	return good == 1
}

// credential returns the token of an Authorization header, or "": that of Bearer (RFC 6750), or the password of
// Basic (RFC 7617) with any user name.
func credential(authorization string) string {
	scheme, rest, _ := strings.Cut(authorization, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return rest
	case strings.EqualFold(scheme, "Basic"):
		pair, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return ""
		}
		_, password, _ := strings.Cut(string(pair), ":")
		return password
	}
	return ""
}

// FirstToken reads a file of tokens and returns the first that gives a role, for a client to send.
func FirstToken(file string, role Role) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		one, err := parseTokens(line)
		if err == nil && one[0].roles&role == role {
			words := strings.Fields(line)
			return words[len(words)-1], nil
		}
	}
	return "", fmt.Errorf("read token: %s contains no token of at least %d characters for this purpose", file, minToken)
}
