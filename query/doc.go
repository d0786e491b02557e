// Package query answers questions about stored spans: a trace by its id, a
// search, the names and values of attributes. It joins the Views that a store
// hands out with the language of package traceql.
//
// A query sees the whole trace, however its spans arrived: a filter picks
// candidates View by View, and what joins spans of a trace (structure,
// aggregates, &&, duration, root) is decided on all its rows. A span that
// several Views hold counts once.
//
// A search walks traces from the newest to the oldest and stops when no older
// one can enter the result, so the common query reads one View. The same query
// on the same Views gives the same answer, in the same order.
package query
