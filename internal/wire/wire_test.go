package wire

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// TestBuilder writes each kind of field, and messages around the sizes at which
// their length takes another byte.
func TestBuilder(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 100, 127, 128, 129, 16_383, 16_384, 3_000_000} {
		var b Builder
		outer := b.Open(1)
		inner := b.Open(2)
		b.String(3, strings.Repeat("a", size))
		b.Close(inner)
		b.Varint(4, math.MaxUint64)
		b.Varint(5, 0)
		b.VarintAlways(6, 0)
		b.Fixed64(7, 1)
		b.Fixed32(16, 9)
		b.Bytes(2047, []byte{0xff})
		b.Bytes(2048, nil)
		b.Close(outer)

		var want []byte
		in := []byte(nil)
		if size > 0 {
			in = protowire.AppendString(protowire.AppendTag(nil, 3, protowire.BytesType), strings.Repeat("a", size))
		}
		out := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), in)
		out = protowire.AppendVarint(protowire.AppendTag(out, 4, protowire.VarintType), math.MaxUint64)
		out = protowire.AppendVarint(protowire.AppendTag(out, 6, protowire.VarintType), 0)
		out = protowire.AppendFixed64(protowire.AppendTag(out, 7, protowire.Fixed64Type), 1)
		out = protowire.AppendFixed32(protowire.AppendTag(out, 16, protowire.Fixed32Type), 9)
		out = protowire.AppendBytes(protowire.AppendTag(out, 2047, protowire.BytesType), []byte{0xff})
		want = protowire.AppendBytes(protowire.AppendTag(want, 1, protowire.BytesType), out)
		if !bytes.Equal(b.B, want) {
			t.Errorf("size %d: %d bytes, want %d", size, len(b.B), len(want))
		}
	}
}

func TestTextIsUTF8(t *testing.T) {
	t.Parallel()
	var b Builder
	b.String(1, "a\xffb")
	b.Raw(1, "a\xffb")
	b.RawAlways(1, "")
	if want := "\x0a\x05a\uFFFDb\x0a\x03a\xffb\x0a\x00"; string(b.B) != want {
		t.Errorf("%q, want %q", b.B, want)
	}
}

func TestMerged(t *testing.T) {
	t.Parallel()
	first := []byte("abc")[:1:3]
	var m Merged
	for _, part := range []string{"b", "", "c"} {
		if m.Data == nil {
			m.Add(first)
		}
		m.Add([]byte(part))
	}
	if string(m.Data) != "abc" || string(first[:3]) != "abc" || !m.There {
		t.Errorf("%q, %q", m.Data, first[:3])
	}
}

// FuzzReader compares with protowire, field by field.
func FuzzReader(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("\x0a\x01a\x10\x96\x01\x19abcdefgh\x25abcd\x2b\x30\x01\x2c"))
	f.Add([]byte("\x82\x80\x80\x80\x08\x00"))
	f.Add([]byte("\x0a\xff\xff\xff\xff\x0f"))
	f.Add([]byte("\x00\x00"))
	f.Add([]byte("\x0f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := Reader{Rest: b}
		for rest := b; ; {
			number, typ, n := protowire.ConsumeTag(rest)
			m := -1
			if n >= 0 && number <= protowire.MaxValidNumber { // past it, protowire leaves the judgement to others
				m = protowire.ConsumeFieldValue(number, typ, rest[n:])
			}
			if !r.Next() {
				if (len(rest) == 0) != (r.Err == nil) || len(rest) > 0 && n >= 0 && m >= 0 {
					t.Fatalf("stops at %x with %v", rest, r.Err)
				}
				if r.Offset(b) != len(b)-len(rest) {
					t.Fatalf("stands at %d, want %d", r.Offset(b), len(b)-len(rest))
				}
				return
			}
			if n < 0 || m < 0 || r.Number != number || r.Type != typ {
				t.Fatalf("reads field %d of type %d at %x", r.Number, r.Type, rest)
			}
			value := rest[n : n+m]
			switch typ {
			case protowire.VarintType:
				if v, _ := protowire.ConsumeVarint(value); v != r.Value || !r.IsVarint(number) {
					t.Fatalf("%d, want %d", r.Value, v)
				}
			case protowire.BytesType:
				if v, _ := protowire.ConsumeBytes(value); !bytes.Equal(v, r.Data) || cap(r.Data) != len(r.Data) || !r.IsBytes(number) {
					t.Fatalf("%x, want %x", r.Data, v)
				}
			case protowire.Fixed64Type:
				if v, _ := protowire.ConsumeFixed64(value); v != r.Value || !r.IsFixed64(number) {
					t.Fatalf("%d, want %d", r.Value, v)
				}
			case protowire.Fixed32Type:
				if v, _ := protowire.ConsumeFixed32(value); uint64(v) != r.Value || !r.IsFixed32(number) {
					t.Fatalf("%d, want %d", r.Value, v)
				}
			}
			rest = rest[n+m:]
		}
	})
}
