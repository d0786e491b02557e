// Package store keeps spans: durable in the write-ahead log, and in memory, in
// the head, as a row of [trace.Table]s for queries.
//
// It guarantees: a payload that [Store.Append] has acknowledged is on disk,
// and its spans are in every later [Store.Tables]. An error means that the
// client may send the payload again; spans that were stored all the same are
// kept once per Table, and readers merge those of several Tables.
//
// One Table and its log segments live and leave together: when the segment is
// finished the Table is sealed, and when the Table leaves, by age or because a
// limit is reached, its segments are deleted. So dropping old data costs a few
// unlinks, whatever its size, and the next start finds just what was in memory.
//
// When spans cannot be stored, [Store.Append] refuses them and [Store.Ready] says
// why: the disk is full or fails, the directory is gone, or nothing moves.
//
// Follow a payload from [Store.Append] (append.go) through apply (apply.go) to
// the head (head.go). limits.go decides which parts leave, replay.go is the start,
// close.go the end.
package store
