package receive

import (
	"encoding/base64"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"etude/tenant"
)

const typeGRPC = "application/grpc"

// callHead is what the head of a request says that matters to a call.
type callHead struct {
	method, path, contentType, encoding string

	size               uint32 // of the list (RFC 9113, section 6.5.2)
	malformed          bool   // as HTTP/2
	pseudo             uint8  // the pseudo-header fields that were there
	regular            bool   // a field that is none was there
	authorities, hosts int
	connection         bool // has a field that HTTP/2 forbids
	timed              bool
	timeout            time.Duration
	tenants            []string
	err                error // in a field's value
}

var tenantField = strings.ToLower(tenant.Header)

func (h *callHead) field(f *hpack.HeaderField) {
	h.size += f.Size()
	if strings.HasPrefix(f.Name, ":") {
		h.pseudoField(f)
		return
	}
	h.regular = true
	if !isWireName(f.Name) || !httpguts.ValidHeaderFieldValue(f.Value) {
		h.malformed = true
		return
	}
	switch f.Name {
	case "host":
		h.hosts++
	case "content-type":
		h.contentType = f.Value
	case "grpc-encoding":
		h.encoding = f.Value
	case "connection":
		h.connection = true
	case "grpc-timeout":
		var err error
		h.timed = true
		if h.timeout, err = parseTimeout(f.Value); err != nil {
			h.err = fmt.Errorf("malformed grpc-timeout: %w", err)
		}
	case tenantField:
		h.tenants = append(h.tenants, f.Value)
	default:
		if strings.HasSuffix(f.Name, "-bin") && !isBase64(f.Value) {
			h.err = fmt.Errorf("malformed binary metadata %q in header %q", f.Value, f.Name)
		}
	}
}

// pseudoField takes what HTTP/2 has in place of a request line: each at most once,
// and before all others (RFC 9113, section 8.3).
func (h *callHead) pseudoField(f *hpack.HeaderField) {
	var bit uint8
	switch f.Name {
	case ":method":
		bit, h.method = 1, f.Value
	case ":path":
		bit, h.path = 2, f.Value
	case ":authority":
		bit = 4
		h.authorities++
	case ":scheme":
		bit = 8
	}
	if bit == 0 || h.pseudo&bit != 0 || h.regular || !httpguts.ValidHeaderFieldValue(f.Value) {
		h.malformed = true
	}
	h.pseudo |= bit
}

// isWireName reports whether a field name is a token in lower case.
func isWireName(name string) bool {
	for i := range len(name) {
		if c := name[i]; 'A' <= c && c <= 'Z' || !httpguts.IsTokenRune(rune(c)) {
			return false
		}
	}
	return name != ""
}

func isBase64(v string) bool {
	form := base64.RawStdEncoding
	if len(v)%4 == 0 {
		form = base64.StdEncoding
	}
	_, err := form.DecodeString(v)
	return err == nil
}

// check returns grpc-go's answer to a request that is no call.
func (h *callHead) check() (*status.Status, int) {
	switch {
	case h.authorities > 1 || h.hosts > 1:
		return status.Newf(codes.Internal, "num values of :authority: %d, num values of host: %d, both must only have 1 value as per HTTP/2 spec", h.authorities, h.hosts), http.StatusBadRequest
	case !isGRPC(h.contentType):
		return status.Newf(codes.InvalidArgument, "invalid gRPC request content-type %q", h.contentType), http.StatusUnsupportedMediaType
	case h.err != nil:
		return status.New(codes.Internal, h.err.Error()), http.StatusBadRequest
	case h.authorities+h.hosts == 0:
		return status.New(codes.Internal, "no host or :authority header present"), http.StatusBadRequest
	}
	return nil, 0
}

func notPost(method string) *status.Status {
	return status.Newf(codes.Internal, "Received a HEADERS frame with :method %q which should be POST", method)
}

// isGRPC reports whether a content type is gRPC's, with or without a subtype.
func isGRPC(contentType string) bool {
	rest, ok := strings.CutPrefix(contentType, typeGRPC)
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// grpcType is the content type of the answer.
func (h *callHead) grpcType() string {
	if len(h.contentType) <= len(typeGRPC)+1 || !isGRPC(h.contentType) {
		return typeGRPC
	}
	return typeGRPC + "+" + h.contentType[len(typeGRPC)+1:]
}

var timeUnits = map[byte]time.Duration{
	'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
}

// parseTimeout reads at most 8 digits and a unit (gRPC over HTTP2, "Requests").
func parseTimeout(v string) (time.Duration, error) {
	switch {
	case len(v) < 2:
		return 0, fmt.Errorf("transport: timeout string is too short: %q", v)
	case len(v) > 9:
		return 0, fmt.Errorf("transport: timeout string is too long: %q", v)
	}
	unit, ok := timeUnits[v[len(v)-1]]
	if !ok {
		return 0, fmt.Errorf("transport: timeout unit is not recognized: %q", v)
	}
	n, err := strconv.ParseUint(v[:len(v)-1], 10, 64)
	if err != nil {
		return 0, err
	}
	if n > uint64(math.MaxInt64/unit) {
		return math.MaxInt64, nil
	}
	return unit * time.Duration(n), nil
}
