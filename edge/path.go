package edge

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// A router decides by the path, and the service behind it reads the path once
// more. Where the two read it differently, a request passes a rule that was
// meant to stop it. Hence the invariant of this file: the path that rules see
// and the path that the service gets are the same, and no reading of it that is
// common among servers leads elsewhere.
//
//   - What RFC 3986 calls equivalent becomes one form: dot segments are resolved,
//     characters that need no encoding lose it, empty segments are merged.
//   - What must stay encoded stays as it was sent, %2F above all: it is part of a
//     name there (group%2Fproject), and rules see it encoded too.
//   - What servers read in different ways, and no browser sends, is refused:
//     backslashes, dot segments behind an encoded separator, before parameters
//     (..;) or encoded twice, NUL, a fragment.
//
// Rejected: decoding everything, which turns names into directories; a redirect
// to the clean path, which loses the body of a POST and lets the client go on
// asking; cleaning for the rules alone, which is how such holes begin.

// errPath is the kind of all refusals of a request target.
var errPath = errors.New("refuse the request target")

func refusePath(reason string) error { return fmt.Errorf("%w: %s", errPath, reason) }

// cleanTarget gives the URL of a request its clean path. It changes u.
func cleanTarget(u *url.URL, method string) error {
	switch {
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

// setPath makes u.EscapedPath() return the clean path as it is.
func setPath(u *url.URL, clean string) {
	u.Path, _ = url.PathUnescape(clean) // a clean path is well encoded
	u.RawPath = clean
}

// cleanPath returns the path to route and to forward for a path that was sent.
// Both are percent-encoded.
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

// isClean reports that a path has nothing to clean and nothing to refuse. It may
// say no to one that is clean.
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

// needsNoEscape: the characters that a segment may hold as they are, less the
// semicolon, which begins parameters.
func needsNoEscape(c byte) bool {
	return unreserved(c) || strings.IndexByte("!$&'()*+,=:@", c) >= 0
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// encodeOnce gives every character the one encoding that it needs, and leaves
// alone the spelling of those that were encoded for a reason.
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

// hexDigit returns 16 or more for what is not a digit.
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

// resolveDots merges empty segments and resolves dot segments, as RFC 3986
// (5.2.4) does: above the root is the root. It refuses hidden dot segments.
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

// maxDecodings is how often a segment is decoded in search of dot segments.
// Servers that decode more than once exist, and each layer may be one.
const maxDecodings = 8

// checkHidden refuses a segment that becomes a dot segment, or vanishes, in a
// server that decodes it first and splits it afterwards.
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

// visibleOnly drops what servers trim from the end of a name, or skip.
func visibleOnly(r rune) rune {
	if r <= ' ' || r == 0x7f {
		return -1
	}
	return r
}

// overlong spells . / and \ in two bytes, which is not UTF-8, and which decoders
// of old have taken for it.
var overlong = strings.NewReplacer("\xc0\xae", ".", "\xc0\xaf", "/", "\xc1\x9c", `\`)

// routingPath is a clean path as rules see it: decoded, so that they are written
// in plain text, but for characters that mean something else when they are not
// encoded. Those keep their encoding, with upper-case digits.
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
		case clean[i] == '%': // in a rule, a % for itself
			b = append(b, "%25"...)
		default:
			b = append(b, clean[i])
		}
	}
	return string(b)
}

// keepsEscape: the reserved characters of RFC 3986, the percent sign, the
// backslash, and control characters.
func keepsEscape(c byte) bool {
	return c < ' ' || c == 0x7f || strings.IndexByte(`:/?#[]@!$&'()*+,;=%\`, c) >= 0
}
