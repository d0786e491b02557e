package otlp

import "encoding/binary"

// Nearly every attribute on the wire has the same form: a key below 128 bytes,
// then a value with one field, each given once and in order. The functions here
// read just that form and report false for any other, which then takes the
// general way. Attributes are most of a request, so this halves its cost.

const (
	tagKey     = 1<<3 | wireBytes
	tagValue   = 2<<3 | wireBytes
	tagString  = 1<<3 | wireBytes
	tagBool    = 2<<3 | wireVarint
	tagInt     = 3<<3 | wireVarint
	tagDouble  = 4<<3 | wireFixed64
	maxOneByte = 0x7f

	tagSpanAttribute = 9<<3 | wireBytes
)

// plainField splits off the content of a field that begins b, when it has the tag
// and a length of one or two bytes.
func plainField(b []byte, tag byte) (content, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != tag {
		return nil, b, false
	}
	n, at := int(b[1]), 2
	if n > maxOneByte {
		if len(b) < 3 || b[2] > maxOneByte {
			return nil, b, false
		}
		n, at = n&maxOneByte|int(b[2])<<7, 3
	}
	if at+n > len(b) {
		return nil, b, false
	}
	return b[at : at+n], b[at+n:], true
}

// shortText splits a KeyValue message whose value is one string, all of it short.
// It is the commonest by far, hence apart from the functions below.
func shortText(b []byte) (key, text []byte, ok bool) {
	if len(b) < 6 || len(b) > maxOneByte || b[0] != tagKey {
		return nil, nil, false
	}
	at := 2 + int(b[1])
	if at+4 > len(b) || b[at] != tagValue || int(b[at+1]) != len(b)-at-2 || b[at+2] != tagString || int(b[at+3]) != len(b)-at-4 {
		return nil, nil, false
	}
	return b[2:at], b[at+4:], true
}

// plainAttribute splits a KeyValue message.
func plainAttribute(b []byte) (key, value []byte, ok bool) {
	if len(b) < 4 || b[0] != tagKey || b[1] > maxOneByte {
		return nil, nil, false
	}
	end := 2 + int(b[1])
	if end+1 >= len(b) || b[end] != tagValue {
		return nil, nil, false
	}
	value, ok = lastBytes(b[end+1:])
	return b[2:end], value, ok
}

// lastBytes reads a length of one or two bytes and that many bytes, which must be all the rest.
func lastBytes(b []byte) ([]byte, bool) {
	switch {
	case len(b) >= 1 && b[0] <= maxOneByte && len(b) == 1+int(b[0]):
		return b[1:], true
	case len(b) >= 2 && b[0] > maxOneByte && b[1] <= maxOneByte && len(b) == 2+int(b[0]&maxOneByte)+int(b[1])<<7:
		return b[2:], true
	}
	return nil, false
}

// plainText returns the content of an AnyValue that is one string.
func plainText(b []byte) ([]byte, bool) {
	if len(b) == 0 || b[0] != tagString {
		return nil, false
	}
	return lastBytes(b[1:])
}

// plainNumber returns the tag and value of an AnyValue that is one bool, int or
// double.
func plainNumber(b []byte) (tag byte, value uint64, ok bool) {
	if len(b) < 2 {
		return 0, 0, false
	}
	switch b[0] {
	case tagBool, tagInt:
		v, n := binary.Uvarint(b[1:])
		return b[0], v, n == len(b)-1
	case tagDouble:
		if len(b) == 9 {
			return b[0], binary.LittleEndian.Uint64(b[1:]), true
		}
	}
	return 0, 0, false
}
