package edge

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// A router decides by the path, and the service reads the path again. If the two read it differently, a request
// can bypass a rule.
//
// Invariant: rules and the service see the same path, and servers do not disagree
// about where it leads.
//
//   - Forms that RFC 3986 calls equivalent become one: dot segments are resolved,
//     needless escapes are decoded, empty segments are removed.
//   - All other escapes stay as the client sent them. %2F is part of a name
//     (group%2Fproject), for the service and for rules.
//   - The edge refuses a path that servers read in different ways and that no browser sends: backslashes, NUL, a fragment, and dot segments hidden by an encoded separator, by parameters (..;) or by a second encoding.
//
// Rejected: decoding everything, which turns names into directories; redirecting to the clean path, which loses
// the body of a POST; cleaning only for the rules, because the service would still get the original path.

// errPath is the kind of all refusals of a request target.
var errPath = errors.New("refuse the request target")

func refusePath(reason string) error { return fmt.Errorf("%w: %s", errPath, reason) }

// cleanTarget sets the URL of a request to its clean path. It changes u.
func cleanTarget(u *url.URL, method, host string) error {
	switch {
	case !validHost(host):
		return refusePath("its Host is neither a name nor an address, with or without a port")
	case method == http.MethodConnect:
		return refusePath("CONNECT asks for a tunnel, and the edge is no forward proxy")
	case u.Opaque != "":
		return refusePath("it is neither a path nor a whole URL")
	case strings.Contains(u.RawQuery, "#"):
		return refusePath("it contains a fragment (#), which clients keep to themselves")
	}
	sent := u.RawPath
	if sent == "" {
		sent = u.EscapedPath()
	}
	clean, err := cleanPath(sent)
	if err != nil {
		return err
	}
	if clean != sent {
		setPath(u, clean)
	}
	return nil
}

// validHost reports whether a Host header is unambiguous: name:port, or an IPv6 address in brackets. In others,
// such as known.localhost:x@other, the edge and a service can read different hosts: the service may take the
// first part for a user name.
func validHost(host string) bool {
	name, port := host, ""
	if end := strings.IndexByte(host, ']'); strings.HasPrefix(host, "[") && end > 0 {
		if _, err := netip.ParseAddr(host[1:end]); err != nil {
			return false
		}
		name, port = "", host[end+1:]
	} else if colon := strings.IndexByte(host, ':'); colon >= 0 {
		name, port = host[:colon], host[colon:]
	}
	for i := range len(name) {
		if !unreserved(name[i]) {
			return false
		}
	}
	return port == "" || port[0] == ':' && strings.Trim(port[1:], "0123456789") == ""
}

// setPath makes u.EscapedPath() return the clean path unchanged.
func setPath(u *url.URL, clean string) {
	u.Path, _ = url.PathUnescape(clean) // a clean path is well encoded
	u.RawPath = clean
}

// cleanPath returns the paths for routing and for forwarding a client's path. Both are percent-encoded.
func cleanPath(sent string) (string, error) {
	if sent == "" {
		return "/", nil
	}
	if isClean(sent) { // Fast path
		return sent, nil
	}
	// Slow path.
	if sent[0] != '/' {
		return "", refusePath("its path does not begin with /")
	}
	encoded, err := encodeOnce(sent)
	if err != nil {
		return "", err
	}
	return resolveDots(encoded)
}

// isClean reports whether a path surely needs no cleaning and no refusal. It may return false for a clean path.
func isClean(path string) bool {
	before := byte(0)
	for i := range len(path) {
		c := path[i]
		if !needsNoEscape(c) && c != '/' || before == '/' && (c == '/' || c == '.') {
			return false
		}
		before = c
	}
	return path[0] == '/'
}

// needsNoEscape reports whether a segment may contain the character unescaped. It returns false for the
// semicolon, which begins parameters.
func needsNoEscape(c byte) bool {
	return unreserved(c) || strings.IndexByte("!$&'()*+,=:@", c) >= 0
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// encodeOnce decodes needless escapes and adds missing ones. It leaves all other escapes unchanged.
func encodeOnce(sent string) (string, error) {
	b := make([]byte, 0, len(sent)+16)
	for i := 0; i < len(sent); i++ {
		switch c := sent[i]; {
		case c == '%':
			decoded, ok := unhex(sent[i+1:])
			switch {
			case !ok:
				return "", refusePath("a % is not followed by two hexadecimal digits")
			case decoded == 0:
				return "", refusePath("its path contains NUL")
			case unreserved(decoded):
				b = append(b, decoded)
			default:
				b = append(b, sent[i:i+3]...)
			}
			i += 2
		case c == '\\':
			return "", refusePath(`its path contains \, which some servers take for /`)
		case c == '#':
			return "", refusePath("it contains a fragment (#), which clients keep to themselves")
		case c <= ' ' || c == 0x7f:
			return "", refusePath("its path contains a blank or a control character")
		case needsNoEscape(c) || c == '/' || c == ';':
			b = append(b, c)
		default:
			b = fmt.Appendf(b, "%%%02X", c)
		}
	}
	return string(b), nil
}

func unhex(s string) (byte, bool) {
	if len(s) < 2 {
		return 0, false
	}
	high, low := hexDigit(s[0]), hexDigit(s[1])
	return high<<4 | low, high < 16 && low < 16
}

// hexDigit returns 16 or more for a character that is not a digit.
func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	default:
		return 255
	}
}

// resolveDots removes empty segments and resolves dot segments (RFC 3986, 5.2.4);
// the parent of the root is the root. It refuses hidden dot segments.
func resolveDots(encoded string) (string, error) {
	segments := strings.Split(encoded[1:], "/")
	kept, last := segments[:0], ""
	for i, segment := range segments {
		last = segment
		switch segment {
		case "", ".":
			continue
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
			continue
		}
		if err := checkHidden(segment, i == len(segments)-1); err != nil {
			return "", err
		}
		kept = append(kept, segment)
	}
	clean := "/" + strings.Join(kept, "/")
	if len(kept) > 0 && (last == "" || last == "." || last == "..") {
		clean += "/"
	}
	return clean, nil
}

// maxDecodings is the number of times that checkHidden decodes a segment, because some servers decode more than once.
const maxDecodings = 8

// checkHidden refuses a segment that becomes a dot segment, or empty, in a server that first decodes the path
// and then splits it.
func checkHidden(segment string, last bool) error {
	for range maxDecodings {
		for piece := range strings.FieldsFuncSeq(segment, isSeparator) {
			name, _, _ := strings.Cut(piece, ";")
			if name == "" && !last {
				return refusePath("its path contains a segment of parameters alone")
			}
			if name = strings.Map(visibleOnly, name); name == "." || name == ".." {
				return refusePath("its path hides a dot segment")
			}
		}
		decoded, err := url.PathUnescape(segment)
		if err != nil || decoded == segment {
			return nil
		}
		if strings.ContainsAny(decoded, "\x00") {
			return refusePath("its path contains NUL")
		}
		segment = overlong.Replace(decoded)
	}
	return refusePath("its path is encoded too many times over")
}

func isSeparator(r rune) bool { return r == '/' || r == '\\' }

// visibleOnly drops blanks and control characters, which some servers trim or skip.
func visibleOnly(r rune) rune {
	if r <= ' ' || r == 0x7f {
		return -1
	}
	return r
}

// overlong replaces two-byte spellings of . / and \, which are not valid UTF-8 and
// which old decoders accept.
var overlong = strings.NewReplacer("\xc0\xae", ".", "\xc0\xaf", "/", "\xc1\x9c", `\`)

// routingPath returns a clean path in the form of rules: decoded, so that rules are plain text. Characters
// whose meaning would change keep their escape, with upper-case digits.
func routingPath(clean string) string {
	if !strings.Contains(clean, "%") { // Fast path
		return clean
	}
	b := make([]byte, 0, len(clean))
	for i := 0; i < len(clean); i++ {
		c, ok := byte(0), false
		if clean[i] == '%' {
			c, ok = unhex(clean[i+1:])
		}
		switch {
		case ok && keepsEscape(c):
			b = fmt.Appendf(b, "%%%02X", c)
			i += 2
		case ok:
			b = append(b, c)
			i += 2
		case clean[i] == '%': // a literal % of a rule
			b = append(b, "%25"...)
		default:
			b = append(b, clean[i])
		}
	}
	return string(b)
}

// keepsEscape reports whether a character is reserved in RFC 3986, or is a percent
// sign, a backslash or a control character.
func keepsEscape(c byte) bool {
	return c < ' ' || c == 0x7f || strings.IndexByte(`:/?#[]@!$&'()*+,;=%\`, c) >= 0
}
