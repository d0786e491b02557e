// Package block keeps spans in files of Tempo's own format: a block is a folder
// with a Parquet file, one row a trace, and a few small files beside it. A real
// Tempo opens the blocks of this package, and this package opens the blocks of a
// real Tempo.
//
// Package layout defines the columns and files of a block. Package write makes them. Package sidecar keeps the
// facts by which a query skips row groups. This package reads blocks and exports what a store needs from the
// other three: a store imports only this package.
//
// A block guarantees: it is immutable; it exists once its meta.json does; the
// spans of one trace lie in one row group. A row group is one part of a
// [trace.Snapshot].
//
// # Reading
//
// A file may be damaged or hostile: it comes from a bucket that others write to. So the reader checks every
// length against the bytes present before it allocates, and an error names file, row group and column.
// readthrift.go and readencoding.go hold the decoders. readfooter.go and readpage.go use them. readskeleton.go,
// readattrs.go, readchildren.go and readunits.go turn the values into columns of a View. Rejected: the page
// readers of parquet-go. They trust lengths, and their footer takes 800 bytes of memory for each column of each
// row group.
package block
