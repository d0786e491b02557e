// Package wal is the write-ahead log. Payloads that [Log.Submit] has committed are
// on disk, and the next start reads them back in the same order.
//
// # Group commit
//
// A caller queues a copy of its payload and continues. One goroutine, the committer,
// takes all waiting payloads, compresses those that came together as one record,
// writes them with one write and makes them durable with one fdatasync. Meanwhile
// the next payloads gather. Before it takes them, the committer yields to callers
// that are about to submit. So a hundred callers cost one sync, and a single
// caller waits for its own sync only. Many small payloads in one record compress
// as well as a large one.
//
// Rejected: compressing on each caller's goroutine, before the queue. It spreads
// the work over more cores, but each payload is then compressed alone.
//
// # Errors of the disk
//
// A segment whose write or sync has failed is given up: its tail is uncertain,
// and a later sync that succeeds would prove nothing, since the kernel may have
// dropped the pages that the first one could not write. The waiting records are
// refused, the segment is cut back to its last committed record as far as the
// disk allows, and the next records begin a new one. No restart is needed
// when the disk has room again. The rejected alternative, going on in the same
// file after a repair, would trust exactly the file that failed.
//
// # Files that are removed by others
//
// A record counts as committed only if the segment's name still leads to the file
// that it was written to; watch.go has the rules. [Log.Trouble] says why the log
// takes no records.
//
// # Damage
//
// Each record carries a marker, its length and a checksum. Bad bytes at the end
// of the last segment are a record that was never committed: they are cut. Bad
// bytes anywhere else are damage: they are reported with file and offset, the
// segment is copied beside, and reading continues at the next good record.
//
// # Missing files
//
// The manifest lists the segments that there must be and what each must hold, so
// a segment that is missing, cut short, or exchanged for something else is noticed
// (*[Problem]); manifest.go has the argument. It never stops the start.
//
// The bytes are drawn in ../FORMAT.md, the names on disk are in names.go.
package wal
