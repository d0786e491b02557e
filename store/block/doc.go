// Package block keeps spans in files of Tempo's own format: a block is a folder
// with a Parquet file, one row a trace, and a few small files beside it. A real
// Tempo opens what this package writes, and this package opens what a real Tempo
// writes.
//
// schema.go says which columns a file has, meta.go which files a block has. Both
// halves, writing and reading, go by these two.
//
// What a block guarantees: it is immutable; it exists once its meta.json does; the
// spans of one trace lie in one row group. A row group is one part of a
// [trace.Snapshot], so it has at most [trace.MaxRows] spans.
package block
