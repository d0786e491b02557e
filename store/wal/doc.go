// Package wal is the write-ahead log: what [Log.Submit] has committed is on disk,
// and the next start reads it back in the same order.
//
// # Group commit
//
// Callers queue copies of their payloads, and are free. One goroutine, the
// committer, takes all that wait, compresses what came together as one record,
// writes with one write and makes it durable with one fdatasync; while that runs
// the next ones gather, and callers that are about to submit go before the
// committer. So a hundred callers cost one sync, and one caller alone waits for
// nothing but its own. Many small payloads in one record compress as
// well as a large one, and cost the disk as little. Compressing before the queue,
// on every caller's goroutine, would spread that work over more cores, but each
// payload would have to be compressed alone.
//
// # Errors of the disk
//
// A segment whose write or sync has failed is given up: its tail is uncertain,
// and a later sync that succeeds would prove nothing, since the kernel may have
// dropped the pages that the first one could not write. The waiting records are
// refused, the segment is cut back to its last committed record as far as the
// disk allows, and the next records begin a new one. Nothing has to be restarted
// when the disk has room again. The rejected alternative, going on in the same
// file after a repair, would have to trust exactly the file that failed.
//
// # Damage
//
// Each record carries a marker, its length and a checksum. Bad bytes at the end
// of the last segment are a record that was never committed: they are cut. Bad
// bytes anywhere else are damage: they are reported with file and offset, the
// segment is copied beside, and reading goes on at the next good record.
//
// The bytes are drawn in ../FORMAT.md, the names on disk stand in names.go.
package wal
