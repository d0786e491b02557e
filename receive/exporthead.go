package receive

import "bytes"

// exportStart begins every request that the fast path takes.
const exportStart = "POST " + tracesPath + " HTTP/1.1\r\n"

// parseExportHead reads the head of an HTTP/1.1 request, up to and with its empty
// line, if it is the one that exporters send: protobuf to /v1/traces, not
// compressed, with a Content-Length and nothing that changes how the message or
// the connection is read. For anything else, right or wrong, ok is false: that
// is net/http's to judge. The length is that of the body.
func parseExportHead(head []byte) (length int64, ok bool) {
	if !bytes.HasPrefix(head, []byte(exportStart)) {
		return 0, false
	}
	h := exportHead{length: -1}
	rest := head[len(exportStart):]
	for {
		end := bytes.IndexByte(rest, '\n')
		if end < 1 || rest[end-1] != '\r' {
			return 0, false
		}
		line := rest[:end-1]
		rest = rest[end+1:]
		if len(line) == 0 {
			break
		}
		if !h.field(line) {
			return 0, false
		}
	}
	return h.length, len(rest) == 0 && h.length >= 0 && h.protobuf && h.host
}

type exportHead struct {
	length         int64 // -1: not given
	protobuf, host bool
}

// field takes one header field, or reports false. Fields of no consequence here
// are only checked for their form.
func (h *exportHead) field(line []byte) bool {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || !isToken(name) {
		return false
	}
	value = bytes.Trim(value, " \t")
	if !isFieldValue(value) {
		return false
	}
	switch len(name) { // Fast path: most names are told apart by their length.
	case len("Host"):
		if is(name, "host") {
			ok = !h.host && isHost(value)
			h.host = true
		}
	case len("Content-Type"):
		if is(name, "content-type") {
			ok = !h.protobuf && string(value) == typeProtobuf
			h.protobuf = true
		}
	case len("Content-Length"):
		if is(name, "content-length") {
			ok = h.length < 0
			h.length, ok = parseLength(value, ok)
		}
	case len("Connection"):
		if is(name, "connection") {
			ok = is(value, "keep-alive")
		}
	}
	return ok && !special(name)
}

// special reports whether a field asks for more than the fast path can do.
func special(name []byte) bool {
	switch len(name) {
	case len("TE"):
		return is(name, "te")
	case len("Expect"): // Origin too
		return is(name, "expect") || is(name, "origin")
	case len("Trailer"): // Upgrade too
		return is(name, "trailer") || is(name, "upgrade")
	case len("Content-Encoding"):
		return is(name, "content-encoding")
	case len("Transfer-Encoding"):
		return is(name, "transfer-encoding")
	}
	return false
}

func parseLength(value []byte, ok bool) (n int64, _ bool) {
	if len(value) == 0 || len(value) > 12 {
		return 0, false
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	return n, ok
}

// is compares without regard to the case of ASCII letters; want is in lower case.
func is(b []byte, want string) bool {
	if len(b) != len(want) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

// isToken reports whether b is a field name (RFC 9110, section 5.6.2). Only what
// is common is let in.
func isToken(b []byte) bool {
	for _, c := range b {
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return len(b) > 0
}

// isFieldValue reports whether b has nothing but visible ASCII, spaces and tabs.
func isFieldValue(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return true
}

// isHost reports whether b is a name or address with or without a port.
func isHost(b []byte) bool {
	for _, c := range b {
		if c != '.' && c != ':' && c != '-' && c != '_' && c != '[' && c != ']' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return len(b) > 0
}
