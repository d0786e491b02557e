package eval

import (
	"fmt"
	"strings"
)

// Memory counts the bytes that one query keeps. It estimates everything that grows with the data: rows, groups,
// labels, numbers, masks, spans of a trace, the answer and its text. It leaves out the memory that every query
// needs. Any number of goroutines may use it.
//
// A loop that meets a limit need not return the error: Take has cancelled the query's context by then, and all long
// work polls the context.
type Memory interface {
	// Take counts n bytes more. An error means that a limit is exceeded: the bytes are not counted.
	Take(n int, at Progress) error
	// Free returns bytes that the query no longer keeps.
	Free(n int)
}

// Progress describes the progress of a query as a format for one or two numbers. A query formats it only at a
// limit, so it normally costs no allocation.
type Progress struct {
	Format string
	A, B   int
}

// String formats the numbers.
func (p Progress) String() string {
	if strings.Count(p.Format, "%") < 2 {
		return fmt.Sprintf(p.Format, p.A)
	}
	return fmt.Sprintf(p.Format, p.A, p.B)
}

// Unlimited returns m, or a Memory without a limit if m is nil.
func Unlimited(m Memory) Memory {
	if m == nil {
		return unlimited{}
	}
	return m
}

type unlimited struct{}

func (unlimited) Take(int, Progress) error { return nil }
func (unlimited) Free(int)                 {}

// Sizes in memory, in bytes.
const (
	decodedBytes = 160 // a decoded array, its key and its place in a map
	elemBytes    = 72  // an element of a decoded array
	attrBytes    = 80  // an Attr
	spanBytes    = 136 // a span of an assembled trace: its place, and its numbers in the tree
	groupBytes   = 200 // a spanset of by(), with its attribute, its key and its place in a map
)
