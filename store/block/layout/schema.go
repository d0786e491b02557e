// Package layout defines the format of a block: its files and their names, meta.json, the columns of
// data.parquet, and the bloom filters. Readers and writers use it. It holds names and meanings, and no values
// of spans.
package layout

import (
	"fmt"
	"strings"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"

	"etude/trace"
)

// The columns of data.parquet as data: layout builds the tree of a version, and leaves lists its columns in the
// order of the file. A leaf states its meaning (an owner and a field), so readers and writers contain no paths.
//
// The two versions that are written differ in names, in order, and in how they
// store dedicated attributes. Their levels are the same: vParquet4 wraps each list
// in a required group, which adds no level.

// Format is the version of a block, as meta.json names it.
type Format string

// The versions that a reader accepts. A writer never writes VParquet3.
const (
	VParquet3 Format = "vParquet3"
	VParquet4 Format = "vParquet4"
	VParquet5 Format = "vParquet5"
)

// Owner is the kind of row that a value belongs to.
type Owner uint8

const (
	OfTrace Owner = iota
	OfStats
	OfResource
	OfScope
	OfSpan
	OfEvent
	OfLink
	OfResourceAttr // a row is one attribute
	OfScopeAttr
	OfSpanAttr
	OfEventAttr
	OfLinkAttr
	Owners = iota
)

// AttrsOf is the owner of the attributes of a row.
var AttrsOf = [Owners]Owner{OfResource: OfResourceAttr, OfScope: OfScopeAttr, OfSpan: OfSpanAttr, OfEvent: OfEventAttr, OfLink: OfLinkAttr}

// ServiceKey is the attribute of a resource that has the column ServiceName.
const ServiceKey = "service.name"

// OwnerOf is the owner of the rows of a level.
var OwnerOf = [trace.Levels]Owner{trace.SpanLevel: OfSpan, trace.ResourceLevel: OfResource, trace.ScopeLevel: OfScope, trace.EventLevel: OfEvent, trace.LinkLevel: OfLink}

// MaxLevel is the deepest definition level of the columns that each row of an owner
// has. The deepest repetition level is the same, since no group is optional.
var MaxLevel = [Owners]uint8{OfStats: 1, OfResource: 1, OfScope: 2, OfSpan: 3, OfEvent: 4, OfLink: 4,
	OfResourceAttr: 2, OfScopeAttr: 3, OfSpanAttr: 4, OfEventAttr: 5, OfLinkAttr: 5}

// Field is the meaning of a value.
type Field uint8

const (
	FieldID     Field = iota + 1 // TraceID, SpanID
	FieldIDText                  // of the trace, in hex
	FieldStart
	FieldEnd
	FieldDuration
	FieldRootService
	FieldRootName
	FieldService // ServiceName of a resource or of ServiceStats
	FieldSpanCount
	FieldErrorCount
	FieldDropped // DroppedAttributesCount
	FieldName
	FieldVersion
	FieldParent     // ParentSpanID
	FieldParentLeft // ParentID: the parent's NestedSetLeft
	FieldLeft
	FieldRight
	FieldChildCount
	FieldKind
	FieldState // TraceState
	FieldStatus
	FieldMessage
	FieldSince // TimeSinceStartNano of an event
	FieldTime  // TimeUnixNano of an event, vParquet3
	FieldDroppedEvents
	FieldDroppedLinks
	FieldRounded15
	FieldRounded60
	FieldRounded300
	FieldRounded3600
	FieldLinkTrace // TraceID of a link
	FieldKey
	FieldIsArray
	FieldText // the Value columns of an attribute
	FieldInt
	FieldDouble
	FieldBool
	FieldUnsupported
	FieldKVList    // vParquet3, as fieldArray
	FieldArray     // JSON text, "" for none
	FieldAny       // an encoded AnyValue, vParquet3
	FieldLinks     // all links of a span, encoded, vParquet3
	FieldDedicated // an attribute with a column of its own, which Leaf.Key names
	FieldEtude     // see extra.go
)

// Leaf is one column.
type Leaf struct {
	Path     []string
	Of       Owner
	Field    Field
	Key      string // of an attribute with a column of its own
	Typ      format.Type
	Logical  logical
	rep      format.FieldRepetitionType // of the column itself
	MaxDef   uint8
	MaxRep   uint8
	Enc      format.Encoding // RLEDictionary, Plain, DeltaBinaryPacked or DeltaLengthByteArray
	column   int             // its place in the file
	plainOld bool            // Tempo leaves it uncompressed
}

// Name returns the column's path, its names joined by dots.
func (l *Leaf) Name() string { return strings.Join(l.Path, ".") }

// logical is the annotation of a column or group.
type logical uint8

const (
	noLogical logical = iota
	text
	signed32
	Unsigned32
	signed64
	Unsigned64
	listGroup
	mapGroup
)

// Node is a group or, with a leaf, a column of the tree.
type Node struct {
	name    string
	rep     format.FieldRepetitionType
	logical logical
	leaf    *Leaf
	kids    []*Node
}

// Layout returns the tree of a version. Extra adds etude's own column after all of Tempo's.
func (f Format) Layout(dedicated []Dedicated, extra bool) (*Node, error) {
	b := treeBuilder{format: f, dedicated: dedicated}
	var root *Node
	switch f {
	case VParquet5, VParquet4:
		root = b.trace()
	case VParquet3:
		root = b.oldTrace()
	default:
		return nil, fmt.Errorf("block format %q is unknown: want vParquet3, vParquet4 or vParquet5", f)
	}
	if extra {
		root.kids = append(root.kids, column(ExtraColumn, OfTrace, FieldEtude, bytesDelta))
	}
	return root, nil
}

// Leaves lists the columns of a tree in the order of the file, with paths and levels.
func (n *Node) Leaves() []*Leaf {
	var all []*Leaf
	var walk func(n *Node, path []string, def, rep uint8)
	walk = func(n *Node, path []string, def, rep uint8) {
		if n.rep != format.Required {
			def++
		}
		if n.rep == format.Repeated {
			rep++
		}
		if n.leaf != nil {
			n.leaf.Path, n.leaf.MaxDef, n.leaf.MaxRep, n.leaf.column = path, def, rep, len(all)
			all = append(all, n.leaf)
		}
		for _, kid := range n.kids {
			walk(kid, append(path[:len(path):len(path)], kid.name), def, rep)
		}
	}
	walk(n, nil, 0, 0)
	return all
}

// kind is the storage of a column: type, encoding and codec.
type kind struct {
	typ     format.Type
	logical logical
	enc     format.Encoding
	plain   bool // Tempo leaves it uncompressed
}

// The kinds of section 6 of Tempo's format.
var (
	bytesDelta  = kind{format.ByteArray, noLogical, format.DeltaLengthByteArray, true}
	textDict    = kind{format.ByteArray, text, format.RLEDictionary, false}
	textDictRaw = kind{format.ByteArray, text, format.RLEDictionary, true}
	textDelta   = kind{format.ByteArray, text, format.DeltaLengthByteArray, false}
	u64Delta    = kind{format.Int64, Unsigned64, format.DeltaBinaryPacked, true}
	i64Delta    = kind{format.Int64, signed64, format.DeltaBinaryPacked, true}
	i64Plain    = kind{format.Int64, signed64, format.Plain, false}
	u32Delta    = kind{format.Int32, Unsigned32, format.DeltaBinaryPacked, true}
	i32DeltaRaw = kind{format.Int32, signed32, format.DeltaBinaryPacked, true}
	i32Delta    = kind{format.Int32, signed32, format.DeltaBinaryPacked, false}
	i32Plain    = kind{format.Int32, signed32, format.Plain, false}
	boolPlain   = kind{format.Boolean, noLogical, format.Plain, false}
	doublePlain = kind{format.Double, noLogical, format.Plain, false}
)

// column returns a required column.
func column(name string, of Owner, f Field, k kind) *Node {
	return &Node{name: name, leaf: &Leaf{Of: of, Field: f, Typ: k.typ, Logical: k.logical, Enc: k.enc, plainOld: k.plain}}
}

func optional(n *Node) *Node { n.setRep(format.Optional); return n }
func repeated(n *Node) *Node { n.setRep(format.Repeated); return n }

func (n *Node) setRep(rep format.FieldRepetitionType) {
	n.rep = rep
	if n.leaf != nil {
		n.leaf.rep = rep
	}
}

func group(name string, kids ...*Node) *Node { return &Node{name: name, kids: kids} }

// typeBits are the sizes that Tempo's files state for types of a fixed size.
var typeBits = map[format.Type]int32{format.Boolean: 1, format.Int32: 32, format.Int64: 64, format.Double: 64}

// Elements returns a tree as the schema elements of the file's footer.
func Elements(root *Node) (all []format.SchemaElement) {
	var add func(n *Node)
	add = func(n *Node) {
		e := format.SchemaElement{Name: n.name}
		if n != root {
			e.RepetitionType.Set(n.rep)
		}
		n.logical.annotate(&e)
		if n.leaf != nil {
			e.Type.Set(n.leaf.Typ)
			if bits, ok := typeBits[n.leaf.Typ]; ok {
				e.TypeLength.Set(bits)
			}
			n.leaf.Logical.annotate(&e)
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

// annotate sets the annotation in both of Parquet's forms.
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
	case Unsigned32:
		integer(32, false, deprecated.Uint32)
	case signed64:
		integer(64, true, deprecated.Int64)
	case Unsigned64:
		integer(64, false, deprecated.Uint64)
	}
}
