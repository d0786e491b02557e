package eval

import "context"

// poll looks at a context now and then, so that a loop over rows costs a query
// that has been given up no more than pollEvery rows. What is counted is work: a
// row and a condition are 1, a text that a regular expression reads is 1 for
// each textUnit bytes. It belongs to one goroutine.
type poll struct {
	ctx  context.Context
	work int
}

const (
	pollEvery = 1 << 12
	textUnit  = 64
)

// stop counts work and tells whether the query has been given up. What is found
// from then on counts for nothing: the caller of the Run asks the context.
func (p *poll) stop(work int) bool {
	if p.work += work; p.work < pollEvery {
		return false
	}
	p.work = 0
	return p.ctx.Err() != nil
}
