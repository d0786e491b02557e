// Package trace has the domain types: trace and span ids, attribute values, and [Table], the columnar form of
// spans.
//
// A Table is a struct of arrays. One row is one span; a string is a code into
// the Table's own dictionary; attributes are sparse columns, one per key and
// type; events and links are child tables with the row of their span; a
// resource and a scope are stored once and referred to by number.
//
// # One writer, any number of readers, no lock
//
// Every column only grows. The writer appends to slices; [Table.View] copies
// the slice headers, capped at the rows that are complete. A reader of the View
// never looks past its own lengths, and the writer never changes the values
// before them, so the two touch different memory. When a slice outgrows its
// array the writer moves to a new one and the reader keeps the old. The two
// exceptions, hash slots and the chain of rows of one trace, are written and
// read with atomic operations, and a reader skips what is newer than its View.
//
// Rejected: chunked columns with a read lock. They cost every reader a division per access, and a slow query
// would block ingest.
//
// A Table is dropped as a whole, so none of its parts is freed separately, and its dictionary needs no
// reference counts. Callers keep several small Tables (some ten thousand spans). Spans of one trace may be in
// several Tables.
package trace
