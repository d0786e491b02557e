// Package store keeps spans: durable in the write-ahead log, and in memory, in
// the head, as a row of [trace.Table]s for queries.
//
// It guarantees: a payload that [Store.Append] has acknowledged is on disk,
// and its spans are in every later [Store.Tables]. An error means that the client may send the payload again. If its
// spans were stored nevertheless, a Table keeps each once, and readers merge the copies of several Tables.
//
// A Table and its log segments have the same life: when the segment is finished the store seals the Table, and when
// it drops the Table, by age or because of a limit, it deletes the segments. So dropping old data costs a few
// unlinks, whatever its size, and the next start finds exactly the spans that were in memory.
//
// When spans cannot be stored, [Store.Append] refuses them and [Store.Ready] says
// why: the disk is full or fails, the directory is gone, or nothing moves.
//
// Follow a payload from [Store.Append] (append.go) through apply (apply.go) to
// the head (head.go). limits.go decides which parts leave, replay.go is the start,
// close.go the end.
package store
