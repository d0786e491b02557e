package otlp

import (
	"fmt"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/internal/wire"
)

// Append cuts values and keys beyond the limit of a Table. A cut text ends in a visible mark. An array has the
// mark as its last element, a kvlist as its last entry. Bytes have no mark. Append counts all cuts.

// MinAttributeBytes is the smallest limit that Append can keep: it does not
// measure the shortest form of attributes.
const MinAttributeBytes = 1 << 10

// cutKey is the key of the mark in a kvlist.
const cutKey = "etude.cut"

func cutMark(size int) string { return fmt.Sprintf("... [cut, was %d bytes]", size) }

// cutText keeps whole characters.
func (a *appender) cutText(b []byte) []byte {
	if len(b) <= a.most { // Fast path
		return b
	}
	a.t.CountCut()
	mark := cutMark(len(b))
	keep := max(0, a.most-len(mark))
	for keep > 0 && !utf8.RuneStart(b[keep]) {
		keep--
	}
	return append(b[:keep:keep], mark...)
}

func (a *appender) cutBytes(b []byte) []byte {
	if len(b) <= a.most { // Fast path
		return b
	}
	a.t.CountCut()
	return b[:a.most]
}

// cutList keeps whole elements of an AnyValue b whose list of this form is what c
// is at.
func (a *appender) cutList(b []byte, form *message, c *wire.Reader) []byte {
	if len(b) <= a.most { // Fast path
		return b
	}
	a.t.CountCut()
	mark := encoder{}
	value := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), cutMark(len(b)))
	if form == keyValueList {
		at := mark.Open(1)
		mark.Raw(1, cutKey)
		mark.Bytes(2, value)
		mark.Close(at)
	} else {
		mark.Bytes(1, value)
	}
	const head = 12 // tag and length of the list
	room := a.most - len(mark.B) - head
	var e encoder
	at := e.Open(c.Number)
	list := wire.Reader{Rest: c.Data}
	for begin := list.Rest; list.Next(); begin = list.Rest {
		element := begin[:len(begin)-len(list.Rest)]
		if len(e.B)+len(element) > room {
			break
		}
		e.B = append(e.B, element...)
	}
	e.B = append(e.B, mark.B...)
	e.Close(at)
	return e.B
}
