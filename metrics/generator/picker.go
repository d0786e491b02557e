package generator

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"etude/trace"
)

// picker numbers the rows of a Table by their values of some attribute keys: rows with the same number have the
// same values. The caller passes rows in ascending order, so each column is read once, front to back.
type picker struct {
	keys    []string
	message bool // whether to include the status message
	columns []pickColumn
	known   map[pickName]bool // the columns found
	numbers map[string]uint32
	buf     []byte
}

// pickColumn is a column and the picker's position in it.
type pickColumn struct {
	pickName
	in *trace.Column // of the last View read
	at int
}

type pickName struct {
	key string
	typ trace.Type
}

func newPicker(keys []string, message bool) picker {
	return picker{keys: keys, message: message, known: map[pickName]bool{}, numbers: map[string]uint32{}}
}

// findColumns finds the columns in a View, including those added since the last one.
func (p *picker) findColumns(v *trace.View) {
	for i := range p.columns {
		c := &p.columns[i]
		c.in = v.SpanAttrs.Find(c.key, c.typ)
	}
	for _, key := range p.keys {
		for c := range v.SpanAttrs.OfKey(key) {
			if name := (pickName{key, c.Type}); !p.known[name] {
				p.known[name] = true
				p.columns = append(p.columns, pickColumn{pickName: name, in: c})
			}
		}
	}
}

// pick returns the number of a row, or 0 when it has no value.
func (p *picker) pick(v *trace.View, row uint32) uint32 {
	if len(p.columns) == 0 && !p.message {
		return 0
	}
	p.buf = p.buf[:0]
	for i := range p.columns {
		c := p.columns[i].in
		at := p.columns[i].at
		for at < len(c.Rows) && c.Rows[at] < row {
			at++
		}
		p.columns[i].at = at
		if at == len(c.Rows) || c.Rows[at] != row {
			continue
		}
		p.buf = append(p.buf, byte(i), byte(i>>8))
		switch c.Type {
		case trace.Empty:
		case trace.Int, trace.Double:
			p.buf = binary.LittleEndian.AppendUint64(p.buf, c.Nums[at])
		default:
			p.buf = binary.LittleEndian.AppendUint32(p.buf, c.Codes[at])
		}
	}
	if p.message {
		if code := v.StatusMessage.Get(row); code != 0 {
			p.buf = binary.LittleEndian.AppendUint32(append(p.buf, 0xff, 0xff), code)
		}
	}
	if len(p.buf) == 0 {
		return 0
	}
	number, ok := p.numbers[string(p.buf)]
	if !ok {
		number = uint32(len(p.numbers) + 1)
		p.numbers[string(p.buf)] = number
	}
	return number
}

// ratio computes the number of spans that a sampled row represents.
type ratio struct {
	key        string
	tracestate bool
	column     *trace.Column // of the last View read, or nil
	at         int
}

func (r *ratio) on() bool { return r.key != "" || r.tracestate }

func (r *ratio) findColumns(v *trace.View) {
	if r.key != "" {
		r.column = v.SpanAttrs.Find(r.key, trace.Double)
	}
}

// weight is the number of spans that a row represents: 1 divided by its sampling ratio, or 1 if the ratio is
// unknown.
func (r *ratio) weight(v *trace.View, row, resource uint32) float64 {
	if r.tracestate {
		if w, ok := tracestateWeight(v.Text(v.TraceState.Get(row))); ok {
			return w
		}
	}
	if r.key == "" {
		return 1
	}
	if c := r.column; c != nil {
		for r.at < len(c.Rows) && c.Rows[r.at] < row {
			r.at++
		}
		if r.at < len(c.Rows) && c.Rows[r.at] == row {
			return inverse(math.Float64frombits(c.Nums[r.at]))
		}
	}
	if value, ok := v.ResourceAttrs.Value(resource, r.key); ok && value.Type == trace.Double {
		return inverse(value.Double())
	}
	return 1
}

// inverse returns 1/ratio, or 1 for an invalid ratio.
func inverse(ratio float64) float64 {
	if !(ratio > 0) || math.IsInf(ratio, 0) || math.IsInf(1/ratio, 0) {
		return 1
	}
	return 1 / ratio
}

// tracestateWeight reads the rejection threshold in OpenTelemetry's entry of a W3C trace state, ot=th:HEX: up
// to 14 hex digits of a fraction of 2^56, without trailing zeros.
func tracestateWeight(state string) (weight float64, ok bool) {
	for member := range strings.SplitSeq(state, ",") {
		values, found := strings.CutPrefix(strings.TrimSpace(member), "ot=")
		if !found {
			continue
		}
		for value := range strings.SplitSeq(values, ";") {
			digits, found := strings.CutPrefix(value, "th:")
			if !found {
				continue
			}
			threshold, err := strconv.ParseUint(digits, 16, 56)
			if err != nil || len(digits) > 14 {
				return 0, false
			}
			threshold <<= 4 * (14 - len(digits))
			return (1 << 56) / float64((1<<56)-threshold), true
		}
	}
	return 0, false
}
