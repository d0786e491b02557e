package otlp

import "encoding/binary"

// Tags of the fields that begin a span.
const (
	tagSpanTraceID = 1<<3 | wireBytes
	tagSpanID      = 2<<3 | wireBytes
	tagSpanParent  = 4<<3 | wireBytes
	tagSpanName    = 5<<3 | wireBytes
	tagSpanKind    = 6<<3 | wireVarint
	tagSpanStart   = 7<<3 | wireFixed64
	tagSpanEnd     = 8<<3 | wireFixed64
)

// spanHead is the beginning of a span. Absent fields are nil or 0.
type spanHead struct {
	traceID, spanID, parent, name []byte
	kind                          uint8
	start, end                    uint64
}

// read reads the fields that come before the attributes, as nearly every sender
// writes them: each at most once, in order, ids of the right length, short. It stops at the first field of another
// form, and returns the unread rest; it reads nothing of a span that does not begin with its ids. The rest may repeat
// any field, and the repetition counts.
func (h *spanHead) read(b []byte) (rest []byte) {
	*h = spanHead{}
	if len(b) < 28 || b[0] != tagSpanTraceID || b[1] != 16 || b[18] != tagSpanID || b[19] != 8 {
		return b
	}
	h.traceID, h.spanID, b = b[2:18:18], b[20:28:28], b[28:]
	if len(b) >= 10 && b[0] == tagSpanParent && b[1] == 8 {
		h.parent, b = b[2:10:10], b[10:]
	}
	if len(b) >= 2 && b[0] == tagSpanName && b[1] <= maxOneByte && len(b) >= 2+int(b[1]) {
		end := 2 + int(b[1])
		h.name, b = b[2:end:end], b[end:]
	}
	if len(b) >= 2 && b[0] == tagSpanKind && b[1] <= maxOneByte {
		h.kind, b = b[1], b[2:]
	}
	if len(b) >= 9 && b[0] == tagSpanStart {
		h.start, b = binary.LittleEndian.Uint64(b[1:]), b[9:]
	}
	if len(b) >= 9 && b[0] == tagSpanEnd {
		h.end, b = binary.LittleEndian.Uint64(b[1:]), b[9:]
	}
	return b
}
