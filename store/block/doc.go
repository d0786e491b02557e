// Package block keeps spans in files of Tempo's own format: a block is a folder
// with a Parquet file, one row a trace, and a few small files beside it. A real
// Tempo opens the blocks of this package, and this package opens the blocks of a
// real Tempo.
//
// Package layout says which columns and files a block has, package write makes them,
// package sidecar says which row groups a query can skip. This package reads blocks,
// and is the door of the others: a store imports no other.
//
// A block guarantees: it is immutable; it exists once its meta.json does; the
// spans of one trace lie in one row group. A row group is one part of a
// [trace.Snapshot].
//
// # Reading
//
// A file may be damaged or hostile: it comes from a bucket that others write to. So the reader checks every length
// against the bytes present before it allocates, and an error names file, row group and column. readthrift.go and
// readencoding.go have the decoders, readfooter.go and readpage.go use them, readskeleton.go and the files behind it
// make columns of a View. Rejected: the page readers of parquet-go. They trust lengths, and their footer takes 800
// bytes of memory for each column of each row group.
package block
