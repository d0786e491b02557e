// Package wal is the write-ahead log. Payloads that [Log.Submit] has committed are
// on disk, and the next start reads them back in the same order.
//
// # Group commit
//
// A caller queues a copy of its payload and continues. One goroutine, the committer, takes all waiting
// payloads, compresses payloads that arrived together as one record, writes them with one write and makes them
// durable with one fdatasync. Meanwhile the next payloads gather. Before it takes them, the committer yields to
// callers that are about to submit. So a hundred callers cost one sync, and a single caller waits for its own
// sync only. Many small payloads in one record compress as well as a large one.
//
// Rejected: compressing on each caller's goroutine, before the queue. It spreads
// the work over more cores, but each payload is then compressed alone.
//
// # Errors of the disk
//
// The committer abandons a segment after a failed write or sync: its tail is uncertain, and a later successful
// sync would prove nothing, because the kernel may have dropped the pages that the first one could not write.
// The committer refuses the waiting records, cuts the segment back to its last committed record if the disk
// allows it, and begins a new segment with the next records. No restart is needed when the disk has room again.
// Rejected: continuing in the same file after a repair. It would trust exactly the file that failed.
//
// # Files that are removed by others
//
// A record counts as committed only if the segment's name still leads to the file with the record; watch.go has
// the rules. [Log.Trouble] returns the reason why the log takes no records.
//
// # Damage
//
// Each record carries a marker, its length and a checksum. Bad bytes at the end of the last segment are a
// record that was never committed: replay cuts them off. Bad bytes anywhere else are damage: replay reports
// them with file and offset, keeps a copy of the segment, and continues at the next good record.
//
// # Missing files
//
// The manifest lists the segments that must exist and the least contents of each. So the start notices a
// segment that is missing, cut short, or replaced by another file, and reports a *[Problem]; manifest.go has
// the argument. A problem never prevents the start.
//
// ../FORMAT.md has the byte layout, names.go the names on disk.
package wal
