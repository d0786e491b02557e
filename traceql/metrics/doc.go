// Package metrics computes TraceQL metrics queries: it assigns the spans that package eval finds to time slots
// and series, and computes the samples.
//
// The work is split by View. [Run.Read] turns the rows of one View into a [Part] with
// label and series numbers of its own, so Views are read on any number of goroutines;
// [Run.Add] joins Parts in the order of the Views, so that sums of floats, the choice
// of exemplars and the order of series do not depend on timing. Package query
// drives both.
//
// Values become numbers: a value of by() is a label number, a pair
// of label numbers is a group, a group and a bucket are a series, and counts are flat
// arrays indexed by series and slot. A span costs a few array accesses and no map.
//
// Rejected: a map from label values to counters that all goroutines share. It costs a hash and a lock for every
// span, and the answer would depend on the order of spans.
package metrics
