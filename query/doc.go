// Package query answers questions about stored spans: a trace by its id, a
// search, the names and values of attributes. It joins the snapshot that a
// [trace.Source] takes with the language of package traceql.
//
// A query declares the columns that it reads, rules out parts by their times and by the conditions of its filters,
// and opens the others one by one when it needs them. An error of a part is the query's error: an answer is never
// silently incomplete.
//
// A query sees the whole trace even if its spans are in several parts: a filter selects candidates part by
// part. Operators that join spans of a trace (structure, aggregates, &&, duration, root) see all its rows. A
// span that several parts hold counts once.
//
// A search walks traces from the newest to the oldest and stops when no older
// one can enter the result, so the common query reads one part. The same query
// on the same parts gives the same answer, in the same order.
//
// The engine caches facts of parts, such as the order of their traces, by the identity of the part, within a
// bound of bytes. The engine keeps no entry per trace of all parts: with 20 million spans on disk, a query pays
// only for the parts that it opens.
package query
