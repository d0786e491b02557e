package receive

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"unicode/utf8"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/proto"
)

// HTTP/2 frames and header blocks (RFC 9113, RFC 7541), as far as answers to calls
// need them.

// headerTable is the client's dynamic table of header fields, as far as we fill it:
// with the two fields that every success has. Any other field is sent as it is.
type headerTable struct {
	off    bool // it is too small, or was changed
	shrink bool // and that is to be said
	size   int  // fields
	// Their places, counted from the first added; 0: not added.
	contentType, grpcStatus int
}

const (
	indexStatusOK = 0x80 | 8
	indexNewest   = 0x80 | 62 // of the dynamic table
	tableSizeZero = 0x20
)

// The literal fields, to be indexed and not (RFC 7541, sections 6.2.1 and 6.2.2).
const (
	addContentType  = "\x5f\x10" + typeGRPC     // 0x40 + 31
	onlyContentType = "\x0f\x10\x10" + typeGRPC // 15 + 16 = 31
	addGRPCStatus   = "\x40\x0bgrpc-status\x010"
	onlyGRPCStatus  = "\x00\x0bgrpc-status\x010"
)

// limit is the client's setting. All but the usual size, or more, is too rare to
// make anything of.
func (t *headerTable) limit(n uint32) {
	if n < 4096 && !t.off {
		t.off, t.shrink = true, true
	}
}

func (t *headerTable) appendShrink(b []byte) []byte {
	if t.shrink {
		t.shrink = false
		b = append(b, tableSizeZero)
	}
	return b
}

// appendIndexed appends a field by its place in the table, or adds it there.
func (t *headerTable) appendIndexed(b []byte, place *int, add, only string) []byte {
	switch {
	case t.off:
		return append(b, only...)
	case *place > 0:
		return append(b, byte(indexNewest+t.size-*place))
	}
	t.size++
	*place = t.size
	return append(b, add...)
}

// appendTaken appends the headers of a success.
func (t *headerTable) appendTaken(out []byte, id uint32, contentType string) []byte {
	at := len(out)
	out = appendFrameHeader(out, 0, http2.FrameHeaders, http2.FlagHeadersEndHeaders, id)
	out = append(t.appendShrink(out), indexStatusOK)
	if contentType == typeGRPC {
		out = t.appendIndexed(out, &t.contentType, addContentType, onlyContentType)
	} else {
		out = appendField(out, "content-type", contentType)
	}
	return endFrame(out, at)
}

// appendSuccess appends the trailers of a success.
func (t *headerTable) appendSuccess(out []byte, id uint32) []byte {
	at := len(out)
	out = appendFrameHeader(out, 0, http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, id)
	out = t.appendIndexed(t.appendShrink(out), &t.grpcStatus, addGRPCStatus, onlyGRPCStatus)
	return endFrame(out, at)
}

// refusalBlock are the headers of an answer without a message.
func (t *headerTable) refusalBlock(a *answer, contentType string) []byte {
	b := t.appendShrink(nil)
	if a.http == 0 || a.http == 200 {
		b = append(b, indexStatusOK)
	} else {
		b = appendField(b, ":status", strconv.Itoa(a.http))
	}
	b = appendField(b, "content-type", contentType)
	b = appendField(b, "grpc-status", strconv.Itoa(int(a.status.Code())))
	b = appendField(b, "grpc-message", percentEncode(a.status.Message()))
	if p := a.status.Proto(); len(p.GetDetails()) > 0 {
		if raw, err := proto.Marshal(p); err == nil {
			b = appendField(b, "grpc-status-details-bin", base64.RawStdEncoding.EncodeToString(raw))
		}
	}
	return b
}

// appendTrailersOnly appends a header block that ends a stream, in as many frames
// as it needs.
func appendTrailersOnly(out []byte, id uint32, block []byte) []byte {
	kind, flags := http2.FrameHeaders, http2.FlagHeadersEndStream
	for {
		n := min(len(block), maxFrame)
		if n == len(block) {
			flags |= http2.FlagHeadersEndHeaders
		}
		out = appendFrameHeader(out, n, kind, flags, id)
		out = append(out, block[:n]...)
		if block = block[n:]; len(block) == 0 {
			return out
		}
		kind, flags = http2.FrameContinuation, 0
	}
}

// appendField appends a header field that is not to be indexed.
func appendField(b []byte, name, value string) []byte {
	b = append(b, 0)
	b = appendText(b, name)
	return appendText(b, value)
}

// appendText appends a string without Huffman coding; its length has a 7-bit prefix.
func appendText(b []byte, s string) []byte {
	n := len(s)
	if n < 127 {
		return append(append(b, byte(n)), s...)
	}
	b = append(b, 127)
	for n -= 127; n >= 128; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(append(b, byte(n)), s...)
}

// percentEncode encodes a grpc-message (gRPC over HTTP2, "Responses").
func percentEncode(s string) string {
	const hex = "0123456789ABCDEF"
	var b []byte
	for _, c := range validText(s) {
		if c >= ' ' && c <= '~' && c != '%' {
			b = append(b, byte(c))
			continue
		}
		var raw [utf8.UTFMax]byte
		for _, x := range raw[:utf8.EncodeRune(raw[:], c)] {
			b = append(b, '%', hex[x>>4], hex[x&15])
		}
	}
	return string(b)
}

func appendFrameHeader(b []byte, n int, kind http2.FrameType, flags http2.Flags, id uint32) []byte {
	return append(b, byte(n>>16), byte(n>>8), byte(n), byte(kind), byte(flags), byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
}

// endFrame sets the length of a frame that began at.
func endFrame(b []byte, at int) []byte {
	n := len(b) - at - frameHeaderLen
	b[at], b[at+1], b[at+2] = byte(n>>16), byte(n>>8), byte(n)
	return b
}

func appendSettings(b []byte, all ...http2.Setting) []byte {
	b = appendFrameHeader(b, 6*len(all), http2.FrameSettings, 0, 0)
	for _, s := range all {
		b = binary.BigEndian.AppendUint16(b, uint16(s.ID))
		b = binary.BigEndian.AppendUint32(b, s.Val)
	}
	return b
}

func appendWindowUpdate(b []byte, id, n uint32) []byte {
	return binary.BigEndian.AppendUint32(appendFrameHeader(b, 4, http2.FrameWindowUpdate, 0, id), n)
}

func appendReset(b []byte, id uint32, code http2.ErrCode) []byte {
	return binary.BigEndian.AppendUint32(appendFrameHeader(b, 4, http2.FrameRSTStream, 0, id), uint32(code))
}

func appendPing(b []byte, ack bool, data [8]byte) []byte {
	var flags http2.Flags
	if ack {
		flags = http2.FlagPingAck
	}
	return append(appendFrameHeader(b, 8, http2.FramePing, flags, 0), data[:]...)
}

func appendGoAway(b []byte, last uint32, code http2.ErrCode, text string) []byte {
	b = appendFrameHeader(b, 8+len(text), http2.FrameGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, uint32(code))
	return append(b, text...)
}
