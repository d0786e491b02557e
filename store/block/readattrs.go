package block

import (
	"context"
	"fmt"

	"etude/otlp"
	"etude/store/block/layout"
	"etude/trace"
)

// The reader makes one pass over the attribute lists of all rows of a level. A file spreads an attribute over a
// column of keys and one column for each type of value. One cursor walks each column, and all cursors stay at
// the same attribute.

// attr is an attribute: its name by number, its type, and a code or number.
type attr struct {
	name  uint32
	typ   trace.Type
	value uint64
}

// attrList are the attributes of the rows of a level, in their order.
type attrList struct {
	names []string
	ends  []uint32 // of each row, in attrs
	attrs []attr
}

// of returns the attributes of a row.
func (l *attrList) of(row uint32) []attr {
	from := uint32(0)
	if row > 0 {
		from = l.ends[row-1]
	}
	return l.attrs[from:l.ends[row]]
}

// depthOf is the definition and repetition level of a row that exists.
var depthOf = [layout.Owners]uint8{layout.OfTrace: 0, layout.OfResource: 1, layout.OfScope: 2, layout.OfSpan: 3, layout.OfEvent: 4, layout.OfLink: 4}

// attrReader reads the attributes of a level.
type attrReader struct {
	p     *reading
	list  *attrList
	known map[string]uint32 // names by text
	keys  map[string]bool   // wanted; nil for all
	rows  int
	depth uint8 // of a row

	key       cursor
	keyNames  []uint32 // of each text of the key column: name+1; 0 if the key is not wanted
	isArray   cursor
	text, num cursor
	double    cursor
	boolean   cursor
	other     cursor // ValueUnsupported
	kvList    cursor // vParquet3
	array     cursor
	any       cursor
	own       []ownColumn
	whole     map[uint32][][]byte // rows whose whole attribute list is in EtudeExtra
	orders    orders
	scratch   []attr
	numbers   []uint32 // numbers of the own columns that have a value for the row
}

// ownColumn is a column of an attribute's own.
type ownColumn struct {
	cursor
	name   uint32
	number uint32 // among such columns of the level
	column *stored
}

// has reports whether the dictionary seems to have some texts already, as after an earlier read of their column: it
// looks up some of them.
func (p *reading) has(t *texts) bool {
	for i := range min(4, t.len()) {
		if _, ok := p.dict.Find(string(t.get(uint32(i * (t.len() - 1) / 3)))); !ok {
			return false
		}
	}
	return true
}

// readAttrs reads the attributes of a level: all of them, or only the given keys. First holds the first row of
// each trace. The caller holds the part.
func (p *reading) readAttrs(ctx context.Context, level trace.Level, first []uint32, keys map[string]bool, x *extras) (*attrList, error) {
	of, rows := layout.OwnerOf[level], int(first[len(first)-1])
	r := &attrReader{p: p, list: &attrList{ends: make([]uint32, 0, rows)}, known: map[string]uint32{}, keys: keys, rows: rows, depth: depthOf[of]}
	if rows == 0 {
		return r.list, nil
	}
	if err := r.open(ctx, of); err != nil {
		return nil, err
	}
	r.whole = x.whole(level, first)
	if fields, ok := orderOf[level]; ok && keys == nil { // The order of some keys says nothing.
		r.orders = orders{x: x, fields: fields, first: first}
	}
	for row := range uint32(rows) {
		if err := r.row(row); err != nil {
			return nil, err
		}
		r.list.ends = append(r.list.ends, uint32(len(r.list.attrs)))
	}
	return r.list, r.finish()
}

// open reads the columns.
func (r *attrReader) open(ctx context.Context, of layout.Owner) error {
	for number, c := range r.p.b.own(of) {
		if c.Key == "" && c.Field != layout.FieldService {
			continue // a spare column
		}
		key := c.Key
		if c.Field == layout.FieldService {
			key = layout.ServiceKey
		}
		if !r.wants(key) {
			continue
		}
		o := ownColumn{name: r.name(key), number: uint32(number), column: c}
		if err := o.open(ctx, r.p, c, r.depth); err != nil {
			return err
		}
		if c.texts() && !o.none && !r.p.has(&o.v.texts) {
			r.p.dict.Reserve(o.v.texts.len(), len(o.v.texts.data))
		}
		if !o.none || c.Field == layout.FieldService {
			r.own = append(r.own, o)
		}
	}
	lists := layout.AttrsOf[of]
	if err := r.key.openIf(ctx, r.p, r.p.b.stored(lists, layout.FieldKey), r.depth, r.hasKey()); err != nil {
		return err
	}
	if !r.findKeys() {
		return nil
	}
	for _, c := range []struct {
		to *cursor
		f  layout.Field
	}{{&r.isArray, layout.FieldIsArray}, {&r.text, layout.FieldText}, {&r.num, layout.FieldInt}, {&r.double, layout.FieldDouble}, {&r.boolean, layout.FieldBool},
		{&r.other, layout.FieldUnsupported}, {&r.kvList, layout.FieldKVList}, {&r.array, layout.FieldArray}, {&r.any, layout.FieldAny}} {
		if err := c.to.open(ctx, r.p, r.p.b.stored(lists, c.f), r.depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (r *attrReader) wants(key string) bool { return r.keys == nil || r.keys[key] }

// name returns the number of a name.
func (r *attrReader) name(key string) uint32 {
	n, ok := r.known[key]
	if !ok {
		n = uint32(len(r.list.names))
		r.known[key] = n
		r.list.names = append(r.list.names, key)
	}
	return n
}

// hasKey reports whether a dictionary has a wanted key. It is nil when all keys are wanted.
func (r *attrReader) hasKey() func(*texts) bool {
	if r.keys == nil {
		return nil
	}
	return func(t *texts) bool {
		for i := range t.len() {
			if r.keys[string(t.get(uint32(i)))] {
				return true
			}
		}
		return false
	}
}

// findKeys finds the names of the wanted keys and reports whether the dictionary has any. If it has none, the
// reader treats the lists as empty.
func (r *attrReader) findKeys() (any bool) {
	if r.key.none {
		return false
	}
	texts := &r.key.v.texts
	r.keyNames = make([]uint32, texts.len())
	for i := range r.keyNames {
		if key := texts.get(uint32(i)); r.keys == nil || r.keys[string(key)] {
			r.keyNames[i] = r.name(string(key)) + 1
			any = true
		}
	}
	if !any {
		r.key.none = true
	}
	return any
}

// row reads the attributes of the next row: first the list, then the row's own columns.
func (r *attrReader) row(row uint32) error {
	start := len(r.list.attrs)
	if !r.key.none {
		from, n, err := r.key.next()
		if err != nil {
			return err
		}
		for i := range n {
			if err := r.attribute(r.keyNames[r.key.v.index[from+i]]); err != nil {
				return err
			}
		}
	}
	own := len(r.list.attrs)
	r.numbers = r.numbers[:0]
	for i := range r.own {
		before := len(r.list.attrs)
		if err := r.ownValue(&r.own[i]); err != nil {
			return err
		}
		if len(r.list.attrs) > before {
			r.numbers = append(r.numbers, r.own[i].number)
		}
	}
	code := r.orders.next(row)
	if r.whole != nil {
		if whole, ok := r.whole[row]; ok {
			return r.replace(start, whole)
		}
	}
	if len(code) > 0 {
		r.order(code, start, own)
	}
	return nil
}

// add adds an attribute to the row.
func (r *attrReader) add(name uint32, t trace.Type, value uint64) {
	r.list.attrs = append(r.list.attrs, attr{name, t, value})
}

// ownValue reads the value that an own column has for the row.
func (r *attrReader) ownValue(o *ownColumn) error {
	from, n, err := o.next()
	if err != nil || n == 0 {
		return err
	}
	isText := o.column.texts()
	switch {
	case n > 1:
		var values []trace.Value
		for i := from; i < from+n; i++ {
			if isText {
				values = append(values, trace.Text(trace.String, string(o.v.text(i))))
			} else {
				values = append(values, trace.Number(trace.Int, o.v.nums[i]))
			}
		}
		r.addArray(o.name, values)
	case !isText:
		r.add(o.name, trace.Int, o.v.nums[from])
	case o.column.Field == layout.FieldService && len(o.v.text(from)) == 0:
	default:
		r.add(o.name, trace.String, uint64(o.v.code(r.p.dict, from)))
	}
	return nil
}

// attribute reads the next attribute of the lists. The name is one more than its number; 0 means that the
// caller skips the attribute.
func (r *attrReader) attribute(name uint32) error {
	var at [9]int
	var n [9]int
	for i, c := range [9]*cursor{&r.isArray, &r.text, &r.num, &r.double, &r.boolean, &r.other, &r.kvList, &r.array, &r.any} {
		if c.none {
			continue
		}
		var err error
		if at[i], n[i], err = c.next(); err != nil {
			return err
		}
	}
	if name == 0 {
		return nil
	}
	name--
	isArray := n[0] == 1 && r.isArray.v.nums[at[0]] != 0
	scalars := n[1] + n[2] + n[3] + n[4]
	switch {
	case isArray || scalars > 1:
		r.addArray(name, r.elements(at, n))
	case n[1] == 1:
		r.add(name, trace.String, uint64(r.text.v.code(r.p.dict, at[1])))
	case n[2] == 1:
		r.add(name, trace.Int, r.num.v.nums[at[2]])
	case n[3] == 1:
		r.add(name, trace.Double, r.double.v.nums[at[3]])
	case n[4] == 1:
		r.add(name, trace.Bool, r.boolean.v.nums[at[4]])
	case n[5] == 1:
		return r.addJSON(name, r.other.v.text(at[5]))
	case n[6] == 1 && len(r.kvList.v.text(at[6])) > 0:
		return r.addJSON(name, r.kvList.v.text(at[6]))
	case n[7] == 1 && len(r.array.v.text(at[7])) > 0:
		return r.addJSON(name, r.array.v.text(at[7]))
	case n[8] == 1:
		return r.addAny(name, r.any.v.text(at[8]))
	default:
		r.add(name, trace.Empty, 0)
	}
	return nil
}

// elements returns the elements of an array.
func (r *attrReader) elements(at, n [9]int) (values []trace.Value) {
	for i := range n[1] {
		values = append(values, trace.Text(trace.String, string(r.text.v.text(at[1]+i))))
	}
	for i := range n[2] {
		values = append(values, trace.Number(trace.Int, r.num.v.nums[at[2]+i]))
	}
	for i := range n[3] {
		values = append(values, trace.Number(trace.Double, r.double.v.nums[at[3]+i]))
	}
	for i := range n[4] {
		values = append(values, trace.Number(trace.Bool, r.boolean.v.nums[at[4]+i]))
	}
	return values
}

func (r *attrReader) addArray(name uint32, values []trace.Value) {
	r.add(name, trace.Array, uint64(r.p.dict.Add(otlp.AppendArray(nil, values))))
}

// addJSON adds a value for whose type the schema has no column.
func (r *attrReader) addJSON(name uint32, text []byte) error {
	value, err := otlp.ValueFromJSON(text)
	if err != nil {
		return fmt.Errorf("attribute %q: %w", r.list.names[name], err)
	}
	return r.addEncoded(name, value)
}

// addAny adds a value of vParquet3's events: encoded, or JSON in older files.
func (r *attrReader) addAny(name uint32, b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		return r.addJSON(name, b)
	}
	return r.addEncoded(name, b)
}

// finish checks that all columns had values for exactly the rows.
func (r *attrReader) finish() error {
	cursors := []*cursor{&r.key, &r.isArray, &r.text, &r.num, &r.double, &r.boolean, &r.other, &r.kvList, &r.array, &r.any}
	for i := range r.own {
		cursors = append(cursors, &r.own[i].cursor)
	}
	for _, c := range cursors {
		if err := c.end(); err != nil {
			return err
		}
	}
	return nil
}

// attrSink builds Attrs from rows.
type attrSink struct {
	names   []string
	builder *trace.AttrBuilder
	columns []uint32 // by name and type: column+1
}

func newAttrSink(names []string) *attrSink {
	return &attrSink{names: names, builder: trace.NewAttrBuilder(), columns: make([]uint32, len(names)*trace.Types)}
}

// row adds a row.
func (s *attrSink) row(attrs []attr) {
	for _, a := range attrs {
		column := &s.columns[int(a.name)*trace.Types+int(a.typ)]
		if *column == 0 {
			*column = s.builder.Column(s.names[a.name], a.typ) + 1
		}
		s.builder.Add(*column-1, uint32(a.value), a.value)
	}
	s.builder.EndRow()
}

func (s *attrSink) attrs() trace.Attrs { return s.builder.Attrs() }

// allAttrs builds Attrs from all rows.
func (l *attrList) allAttrs() trace.Attrs {
	s := newAttrSink(l.names)
	for row := range l.ends {
		s.row(l.of(uint32(row)))
	}
	return s.attrs()
}

// columns makes a column for each name and type.
func (l *attrList) columns() []trace.Column {
	places := make([]int, len(l.names)*trace.Types) // column+1
	var columns []trace.Column
	for row := range l.ends {
		for _, a := range l.of(uint32(row)) {
			place := &places[int(a.name)*trace.Types+int(a.typ)]
			if *place == 0 {
				columns = append(columns, trace.Column{Key: l.names[a.name], Type: a.typ})
				*place = len(columns)
			}
			c := &columns[*place-1]
			c.Rows = append(c.Rows, uint32(row))
			switch a.typ {
			case trace.Int, trace.Double:
				c.Nums = append(c.Nums, a.value)
			case trace.Empty:
			default:
				c.Codes = append(c.Codes, uint32(a.value))
			}
		}
	}
	return columns
}
