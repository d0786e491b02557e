package api

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"etude/traceql/eval"
)

// streamRequest is a request message by field numbers: the last value of each
// number and, since maps may repeat, all values of what has a length. What a
// method does not know it does not look at.
type streamRequest struct {
	numbers map[protowire.Number]uint64
	bytes   map[protowire.Number][][]byte
}

func readStreamRequest(b []byte) (*streamRequest, error) {
	r := &streamRequest{numbers: map[protowire.Number]uint64{}, bytes: map[protowire.Number][][]byte{}}
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, malformed(n)
		}
		b = b[n:]
		switch wire {
		case protowire.VarintType:
			r.numbers[number], n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			var v []byte
			v, n = protowire.ConsumeBytes(b)
			r.bytes[number] = append(r.bytes[number], v)
		default: // no request has such a field
			n = protowire.ConsumeFieldValue(number, wire, b)
		}
		if n < 0 {
			return nil, malformed(n)
		}
		b = b[n:]
	}
	return r, nil
}

func malformed(n int) error {
	return badRequest("invalid request: not a protobuf message: %w", protowire.ParseError(n))
}

// text returns a string field; "" when absent.
func (r *streamRequest) text(number protowire.Number) (string, error) {
	all := r.bytes[number]
	if len(all) == 0 {
		return "", nil
	}
	last := all[len(all)-1]
	if !utf8.Valid(last) {
		return "", badRequest("invalid request: field %d is not UTF-8", number)
	}
	return string(last), nil
}

// uint32 returns a number of 32 bits; 0 when absent.
func (r *streamRequest) uint32(number protowire.Number) uint32 { return uint32(r.numbers[number]) }

// streamParam says which parameter of the HTTP route a field is.
type streamParam struct {
	number protowire.Number
	name   string
	text   bool
}

// values puts fields as parameters of the HTTP route, so that the same code reads
// them. What is empty or zero is not given.
func (r *streamRequest) values(params ...streamParam) (url.Values, error) {
	v := url.Values{}
	for _, p := range params {
		if p.text {
			s, err := r.text(p.number)
			if err != nil {
				return nil, err
			}
			if s != "" {
				v.Set(p.name, s)
			}
		} else if n := r.uint32(p.number); n != 0 {
			v.Set(p.name, strconv.FormatUint(uint64(n), 10))
		}
	}
	return v, nil
}

// tags reads a map of texts, sorted by key. Of two values for a key the last one
// counts.
func (r *streamRequest) tags(number protowire.Number) ([]eval.Tag, error) {
	byKey := map[string]string{}
	for _, b := range r.bytes[number] {
		entry, err := readStreamRequest(b)
		if err != nil {
			return nil, err
		}
		key, err := entry.text(1)
		if err != nil {
			return nil, err
		}
		if byKey[key], err = entry.text(2); err != nil {
			return nil, err
		}
	}
	var tags []eval.Tag
	for key, value := range byKey {
		tags = append(tags, eval.Tag{Key: key, Value: value})
	}
	slices.SortFunc(tags, func(a, b eval.Tag) int { return cmp.Compare(a.Key, b.Key) })
	return tags, nil
}
