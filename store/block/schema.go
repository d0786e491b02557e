package block

import (
	"fmt"
	"strings"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"
)

// The columns of data.parquet as data: layout builds the tree of a version, and
// leaves lists its columns in the order of the file. A leaf says what it means (of
// which row, which field), so neither half of the package knows a path by heart.
//
// The two versions that are written differ in names, in order, and in how they
// store dedicated attributes. Their levels are the same: vParquet4 wraps each list
// in a required group, which adds no level.

// Format is the version of a block, as meta.json names it.
type Format string

// The versions that are read. VParquet3 is never written.
const (
	VParquet3 Format = "vParquet3"
	VParquet4 Format = "vParquet4"
	VParquet5 Format = "vParquet5"
)

// owner is the kind of row that a value belongs to.
type owner uint8

const (
	ofTrace owner = iota
	ofStats
	ofResource
	ofScope
	ofSpan
	ofEvent
	ofLink
	ofResourceAttr // a row is one attribute
	ofScopeAttr
	ofSpanAttr
	ofEventAttr
	ofLinkAttr
	owners = iota
)

// attrsOf is the owner of the attributes of a row.
var attrsOf = [owners]owner{ofResource: ofResourceAttr, ofScope: ofScopeAttr, ofSpan: ofSpanAttr, ofEvent: ofEventAttr, ofLink: ofLinkAttr}

// field is what a value means.
type field uint8

const (
	fieldID     field = iota + 1 // TraceID, SpanID
	fieldIDText                  // of the trace, in hex
	fieldStart
	fieldEnd
	fieldDuration
	fieldRootService
	fieldRootName
	fieldService // ServiceName of a resource or of ServiceStats
	fieldSpanCount
	fieldErrorCount
	fieldDropped // DroppedAttributesCount
	fieldName
	fieldVersion
	fieldParent     // ParentSpanID
	fieldParentLeft // ParentID: the parent's NestedSetLeft
	fieldLeft
	fieldRight
	fieldChildCount
	fieldKind
	fieldState // TraceState
	fieldStatus
	fieldMessage
	fieldSince // TimeSinceStartNano of an event
	fieldTime  // TimeUnixNano of an event, vParquet3
	fieldDroppedEvents
	fieldDroppedLinks
	fieldRounded15
	fieldRounded60
	fieldRounded300
	fieldRounded3600
	fieldLinkTrace // TraceID of a link
	fieldKey
	fieldIsArray
	fieldText // the Value columns of an attribute
	fieldInt
	fieldDouble
	fieldBool
	fieldUnsupported
	fieldKVList    // vParquet3, as fieldArray
	fieldArray     // JSON text, "" for none
	fieldAny       // an encoded AnyValue, vParquet3
	fieldLinks     // all links of a span, encoded, vParquet3
	fieldDedicated // an attribute with a column of its own; leaf.key says which
	fieldEtude     // see extra.go
)

// leaf is one column.
type leaf struct {
	path     []string
	of       owner
	field    field
	key      string // of an attribute with a column of its own
	typ      format.Type
	logical  logical
	rep      format.FieldRepetitionType // of the column itself
	maxDef   uint8
	maxRep   uint8
	enc      format.Encoding // RLEDictionary, Plain, DeltaBinaryPacked or DeltaLengthByteArray
	column   int             // its place in the file
	plainOld bool            // Tempo leaves it uncompressed
}

// name is the column's path with dots.
func (l *leaf) name() string { return strings.Join(l.path, ".") }

// logical is the annotation of a column or group.
type logical uint8

const (
	noLogical logical = iota
	text
	signed32
	unsigned32
	signed64
	unsigned64
	listGroup
	mapGroup
)

// node is a group or, with a leaf, a column of the tree.
type node struct {
	name    string
	rep     format.FieldRepetitionType
	logical logical
	leaf    *leaf
	kids    []*node
}

// layout returns the tree of a version. Extra adds etude's own column behind all
// of Tempo's.
func (f Format) layout(dedicated []Dedicated, extra bool) (*node, error) {
	b := treeBuilder{format: f, dedicated: dedicated}
	var root *node
	switch f {
	case VParquet5, VParquet4:
		root = b.trace()
	case VParquet3:
		root = b.oldTrace()
	default:
		return nil, fmt.Errorf("block format %q is unknown: want vParquet3, vParquet4 or vParquet5", f)
	}
	if extra {
		root.kids = append(root.kids, column(extraColumn, ofTrace, fieldEtude, bytesDelta))
	}
	return root, nil
}

// leaves lists the columns of a tree in the order of the file, with paths and levels.
func (n *node) leaves() []*leaf {
	var all []*leaf
	var walk func(n *node, path []string, def, rep uint8)
	walk = func(n *node, path []string, def, rep uint8) {
		if n.rep != format.Required {
			def++
		}
		if n.rep == format.Repeated {
			rep++
		}
		if n.leaf != nil {
			n.leaf.path, n.leaf.maxDef, n.leaf.maxRep, n.leaf.column = path, def, rep, len(all)
			all = append(all, n.leaf)
		}
		for _, kid := range n.kids {
			walk(kid, append(path[:len(path):len(path)], kid.name), def, rep)
		}
	}
	walk(n, nil, 0, 0)
	return all
}

// kind is how a column is stored.
type kind struct {
	typ     format.Type
	logical logical
	enc     format.Encoding
	plain   bool // Tempo leaves it uncompressed
}

// The kinds, as section 6 of Tempo's format has them: type, encoding, codec.
var (
	bytesDelta  = kind{format.ByteArray, noLogical, format.DeltaLengthByteArray, true}
	textDict    = kind{format.ByteArray, text, format.RLEDictionary, false}
	textDictRaw = kind{format.ByteArray, text, format.RLEDictionary, true}
	textDelta   = kind{format.ByteArray, text, format.DeltaLengthByteArray, false}
	u64Delta    = kind{format.Int64, unsigned64, format.DeltaBinaryPacked, true}
	i64Delta    = kind{format.Int64, signed64, format.DeltaBinaryPacked, true}
	i64Plain    = kind{format.Int64, signed64, format.Plain, false}
	u32Delta    = kind{format.Int32, unsigned32, format.DeltaBinaryPacked, true}
	i32DeltaRaw = kind{format.Int32, signed32, format.DeltaBinaryPacked, true}
	i32Delta    = kind{format.Int32, signed32, format.DeltaBinaryPacked, false}
	i32Plain    = kind{format.Int32, signed32, format.Plain, false}
	boolPlain   = kind{format.Boolean, noLogical, format.Plain, false}
	doublePlain = kind{format.Double, noLogical, format.Plain, false}
)

// column returns a required column.
func column(name string, of owner, f field, k kind) *node {
	return &node{name: name, leaf: &leaf{of: of, field: f, typ: k.typ, logical: k.logical, enc: k.enc, plainOld: k.plain}}
}

func optional(n *node) *node { n.setRep(format.Optional); return n }
func repeated(n *node) *node { n.setRep(format.Repeated); return n }

func (n *node) setRep(rep format.FieldRepetitionType) {
	n.rep = rep
	if n.leaf != nil {
		n.leaf.rep = rep
	}
}

func group(name string, kids ...*node) *node { return &node{name: name, kids: kids} }

// typeBits are the sizes that Tempo's files state for types of a fixed size.
var typeBits = map[format.Type]int32{format.Boolean: 1, format.Int32: 32, format.Int64: 64, format.Double: 64}

// schemaElements lists a tree as the footer of the file has it.
func schemaElements(root *node) (all []format.SchemaElement) {
	var add func(n *node)
	add = func(n *node) {
		e := format.SchemaElement{Name: n.name}
		if n != root {
			e.RepetitionType.Set(n.rep)
		}
		n.logical.annotate(&e)
		if n.leaf != nil {
			e.Type.Set(n.leaf.typ)
			if bits, ok := typeBits[n.leaf.typ]; ok {
				e.TypeLength.Set(bits)
			}
			n.leaf.logical.annotate(&e)
		} else {
			e.NumChildren.Set(int32(len(n.kids)))
		}
		all = append(all, e)
		for _, kid := range n.kids {
			add(kid)
		}
	}
	add(root)
	return all
}

// annotate writes the annotation in both forms that Parquet has for it.
func (l logical) annotate(e *format.SchemaElement) {
	integer := func(bits int8, signed bool, old deprecated.ConvertedType) {
		e.LogicalType.Value = &format.IntType{BitWidth: bits, IsSigned: signed}
		e.ConvertedType.Set(old)
	}
	switch l {
	case text:
		e.LogicalType.Value = &format.StringType{}
		e.ConvertedType.Set(deprecated.UTF8)
	case listGroup:
		e.LogicalType.Value = &format.ListType{}
		e.ConvertedType.Set(deprecated.List)
	case mapGroup:
		e.LogicalType.Value = &format.MapType{}
		e.ConvertedType.Set(deprecated.Map)
	case signed32:
		integer(32, true, deprecated.Int32)
	case unsigned32:
		integer(32, false, deprecated.Uint32)
	case signed64:
		integer(64, true, deprecated.Int64)
	case unsigned64:
		integer(64, false, deprecated.Uint64)
	}
}
