package api

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"unicode/utf8"

	"etude/internal/wire"
	"etude/traceql/eval"
)

// streamRequest is a request message by field numbers: the last value of each number and, because maps may
// repeat, all values of fields with a length. Methods ignore fields that they do not know.
type streamRequest struct {
	numbers map[wire.Number]uint64
	bytes   map[wire.Number][][]byte
}

func readStreamRequest(b []byte) (*streamRequest, error) {
	r := &streamRequest{numbers: map[wire.Number]uint64{}, bytes: map[wire.Number][][]byte{}}
	in := wire.Reader{Rest: b}
	for in.Next() {
		switch in.Type { // no request has a field of another type
		case wire.Varint:
			r.numbers[in.Number] = in.Value
		case wire.Bytes:
			r.bytes[in.Number] = append(r.bytes[in.Number], in.Data)
		}
	}
	if in.Err != nil {
		return nil, badRequest("invalid request: not a protobuf message: %w", in.Err)
	}
	return r, nil
}

// text returns a string field; "" when absent.
func (r *streamRequest) text(number wire.Number) (string, error) {
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

// uint32 returns a 32-bit number; 0 when absent.
func (r *streamRequest) uint32(number wire.Number) uint32 { return uint32(r.numbers[number]) }

// streamParam maps a field to a parameter of the HTTP route.
type streamParam struct {
	number wire.Number
	name   string
	text   bool
}

// values converts fields to parameters of the HTTP route, so that the same code parses them. It leaves out
// empty and zero fields.
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

// tags parses a map of texts, sorted by key. Of two values for a key, the last one counts.
func (r *streamRequest) tags(number wire.Number) ([]eval.Tag, error) {
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
