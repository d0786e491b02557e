package edge

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Spans, the access log and error pages show parts of requests. This file removes
// secrets from them, escapes characters that control a terminal, and bounds their
// length. Values that become names of spans or labels come from a bounded set.

const (
	maxShownURL  = 4 << 10 // bytes of http.url
	maxShownHost = 255     // bytes of http.host; host names are not longer
)

const redacted = "REDACTED"

// shownURL returns the path and query of a URL. Unless whole, it hides the values of parameters that carry secrets.
func shownURL(u *url.URL, whole bool) string {
	text := u.EscapedPath()
	if text == "" {
		text = "/"
	}
	if u.Opaque != "" {
		text = u.Opaque
	}
	if !whole {
		text = redactPath(text)
	}
	if u.RawQuery != "" || u.ForceQuery {
		query := u.RawQuery
		if !whole {
			query = redactQuery(query)
		}
		text += "?" + query
	}
	return printable(cut(text, maxShownURL))
}

// shownHost returns the Host of a request without a user name and password.
func shownHost(host string) string {
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		host = host[at+1:]
	}
	return printable(cut(host, maxShownHost))
}

// redactAddress hides the secrets in a configured address: user, password, and
// secret parameters.
func redactAddress(address string) string {
	address, query, hasQuery := strings.Cut(address, "?")
	if scheme, rest, ok := strings.Cut(address, "://"); ok {
		authority, _, _ := strings.Cut(rest, "/")
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			address = scheme + "://" + redacted + authority[at:] + strings.TrimPrefix(rest, authority)
		}
	}
	if hasQuery {
		address += "?" + redactQuery(query)
	}
	return address
}

// cut shortens a text to n bytes, at the border of a character, and marks the cut.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "..."
}

// redactPath hides the password in a path that holds a whole URL,
// /http://user:password@host/.
func redactPath(path string) string {
	if !strings.Contains(path, "@") { // Fast path
		return path
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if at := strings.LastIndexByte(segment, '@'); at > 0 && strings.ContainsAny(segment[:at], ":%") {
			if user, _ := url.PathUnescape(segment[:at]); strings.Index(user, ":") > 0 {
				segments[i] = redacted + segment[at:]
			}
		}
	}
	return strings.Join(segments, "/")
}

// redactQuery replaces the values of parameters that carry secrets, by their names or by their form. It leaves
// the other parameters unchanged.
func redactQuery(query string) string {
	if query == "" {
		return ""
	}
	var b strings.Builder
	for len(query) > 0 {
		pair := query
		end := strings.IndexAny(query, "&;")
		if end >= 0 {
			pair = query[:end]
		}
		key, value, found := strings.Cut(pair, "=")
		switch {
		case !found && secretValue(key):
			b.WriteString(redacted)
		case found && value != "" && (secretKey(key) || secretValue(value)):
			b.WriteString(key + "=" + redacted)
		default:
			b.WriteString(pair)
		}
		if end < 0 {
			break
		}
		b.WriteByte(query[end])
		query = query[end+1:]
	}
	return b.String()
}

// A key that contains one of secretParts is secret.
var secretParts = []string{
	"token", "password", "passwd", "passphrase", "secret", "signature", "credential", "apikey", "accesskey", "privatekey", "sessionid", "sessid",
	"authorization", "assertion", "verifier", "samlre", "jwt", "bearer", "awsaccesskeyid",
}

// A key with one of secretWords as a whole word, as in api_key and api-key, is secret.
var secretWords = map[string]bool{
	"key": true, "auth": true, "pass": true, "pwd": true, "pw": true, "sig": true, "hmac": true, "otp": true, "totp": true, "pin": true, "session": true,
	"sid": true, "cookie": true, "ticket": true, "csrf": true, "xsrf": true, "nonce": true, "cvv": true, "cvc": true, "ssn": true, "cred": true, "creds": true,
}

// secretCodes are the keys with the word code that carry a secret. Most other such keys, such as country_code,
// carry none.
var secretCodes = map[string]bool{
	"code": true, "authcode": true, "oauthcode": true, "authorizationcode": true, "devicecode": true, "usercode": true, "verificationcode": true,
	"accesscode": true, "resetcode": true, "invitecode": true, "logincode": true, "onetimecode": true, "smscode": true, "recoverycode": true,
}

// secretKey reports whether parameters of this name carry secrets. The key may be encoded, in upper or lower
// case, and join words in any style.
func secretKey(sent string) bool {
	key := sent
	for range maxDecodings {
		decoded, err := url.QueryUnescape(key)
		if err != nil || decoded == key {
			break
		}
		key = decoded
	}
	words := strings.FieldsFunc(splitCamel(key), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	compact := strings.Join(words, "")
	if secretCodes[compact] {
		return true
	}
	for _, part := range secretParts {
		if strings.Contains(compact, part) {
			return true
		}
	}
	for _, word := range words {
		if secretWords[strings.TrimRight(word, "0123456789")] {
			return true
		}
	}
	return false
}

// splitCamel separates the words of apiKey and APIKey, and lowers their case.
func splitCamel(key string) string {
	var b strings.Builder
	before := rune(0)
	for _, r := range key {
		if unicode.IsUpper(r) && unicode.IsLower(before) {
			b.WriteByte(' ')
		}
		before = r
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// secretValue recognizes secrets by their form: JSON Web Tokens, credentials of
// an Authorization header, and URLs with a password.
func secretValue(sent string) bool {
	if len(sent) < 8 {
		return false
	}
	value, err := url.QueryUnescape(sent)
	if err != nil {
		value = sent
	}
	lower := strings.ToLower(value)
	if strings.HasPrefix(value, "eyJ") && strings.Count(value, ".") >= 2 || strings.HasPrefix(lower, "bearer ") || strings.HasPrefix(lower, "basic ") {
		return true
	}
	_, rest, found := strings.Cut(value, "://")
	if !found {
		return false
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	return strings.Contains(authority, "@")
}

// printable escapes characters that control a terminal or a log viewer: C0 with ESC, C1, and marks that change
// the direction of text. It also escapes bytes that are not UTF-8.
func printable(text string) string {
	if strings.IndexFunc(text, unprintable) < 0 { // Fast path
		return text
	}
	var b strings.Builder
	for i, size := 0, 0; i < len(text); i += size {
		var r rune
		r, size = utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unprintable(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return r == utf8.RuneError || r != ' ' && !unicode.IsGraphic(r) }

// methodName returns the method of a request for a span: a method of HTTP, or _OTHER, as in OpenTelemetry's
// conventions.
func methodName(method string) string {
	if methodLabel(method) == method {
		return method
	}
	return "_OTHER"
}

// knownNames are the names that every machine has for itself.
var knownNames = []string{"localhost", "127.0.0.1", "::1"}

// entryName returns the name of the SERVER span. Span names become labels of
// metrics, so a client must not choose them: the name contains the host only if the
// matching rule names that host.
func entryName(rt *route, r *http.Request) string {
	if rt != nil {
		if name, ok := rt.entryNames[hostName(r.Host)]; ok {
			return name
		}
	}
	return entrySpanName
}

const entrySpanName = "EntryPoint " + entryPointName

// entryNames returns the names of SERVER spans for requests of a rule, by host.
func entryNames(r *rule) map[string]string {
	names := make(map[string]string, len(r.hosts)+len(knownNames))
	for _, hosts := range [][]string{knownNames, r.hosts} {
		for _, host := range hosts {
			names[hostName(host)] = entrySpanName + " " + host
		}
	}
	return names
}
