package layout

// etude's own column. Tempo's schema has no place for some facts of a span, and answers must not depend on whether a
// span lies in the head or in a block. So data.parquet has one more column after Tempo's, EtudeExtra: a
// BYTE_ARRAY for each trace, "" for most. A real Tempo ignores it, and its compactor drops it; then the spans are as
// Tempo would have stored them. A file in which every value would be "" does not have the column.
//
// A value is a protobuf message:
//
//	1 bytes  span flags: pairs of uvarints, how many spans of the trace in a row, and their flags
//	2 bytes  link flags, in the same form
//	3, 4, 5  as 9, 10 and 11, in the form of older blocks
//	6 repeated {1 row, 2 schema_url, 3 fields kept as sent} of resources (entity_refs)
//	7 repeated {1 row, 2 schema_url} of scopes
//	8 repeated {1 level, 2 row, 3 repeated KeyValue} rows whose attributes the schema cannot hold
//	9 bytes  order of the attributes of the trace's resources
//	10 bytes order of the attributes of its spans
//	11 bytes order of the attributes of its events
//
// Rows count from 0 within the trace, in the order of the file; a level is a trace.Level. An attribute list of
// field 8 replaces the row's attributes in the other columns.
//
// Order: columns of their own (ServiceName, static and dedicated columns) take their
// attributes out of the list. Read back, an attribute list is first Attrs, then the
// values in own columns in the order of the file. A row whose sender wrote another
// order has a code: uvarint n, then n pairs of uvarints, one for each value in an own
// column in the order sent: the column's number among the own columns of that level,
// and how many of Attrs come before it.
//
// Fields 9 to 11 have the distinct codes of the trace, and then the number of each row's
// code: uvarint n, n codes, and a uvarint for each row: 0 for a row in the order of the
// file, otherwise 1 plus the position of its code. Rows at the end of the trace that
// have no number are in the order of the file. Fields 3 to 5 have the code of each row;
// n is 0 for a row in the order of the file.
//
// Not kept: the size that a span had as an OTLP message.
const (
	ExtraSpanFlags      = 1
	ExtraLinkFlags      = 2
	ExtraResourceCodes  = 3
	ExtraSpanCodes      = 4
	ExtraEventCodes     = 5
	ExtraResource       = 6
	ExtraScope          = 7
	ExtraWhole          = 8
	ExtraResourceOrders = 9
	ExtraSpanOrders     = 10
	ExtraEventOrders    = 11
)

// IsOwn reports whether a column holds an attribute that is taken out of the list.
func (l *Leaf) IsOwn() bool {
	return l.Field == FieldDedicated || l.Of == OfResource && l.Field == FieldService
}
