// Package store keeps spans: durable in the write-ahead log, and in memory, in
// the head, as a row of [trace.Table]s for queries.
//
// It guarantees: a payload that [Store.Append] has acknowledged is on disk, and its spans are in every later
// [Store.Tables]. An error means that the client may send the payload again. If the store had stored its spans
// in spite of the error, a Table keeps each once, and readers merge the copies of several Tables.
//
// A Table and its log segments have the same life: when the segment is finished the store seals the Table, and
// when it drops the Table, by age or because of a limit, it deletes the segments. So the store drops old data
// of any size with a few unlinks, and the next start finds exactly the spans that were in memory.
//
// If the store cannot store spans, [Store.Append] refuses them and [Store.Ready] returns the reason: the disk
// is full or fails, the directory is gone, or the applier makes no progress.
//
// Follow a payload from [Store.Append] (append.go) through apply (apply.go) to the head (head.go). limits.go
// drops old parts, replay.go fills the head at the start, close.go ends the store.
package store
