package eval

import "context"

// Poll polls a context now and then, so that a loop over rows costs a query
// that has been given up no more than pollEvery rows. It counts work: a
// row and a condition are 1, a text that a regular expression reads is 1 for
// each textUnit bytes. It belongs to one goroutine.
type Poll struct {
	ctx  context.Context
	work int
}

const (
	pollEvery = 1 << 12
	textUnit  = 64
)

// NewPoll returns a Poll of a context.
func NewPoll(ctx context.Context) Poll { return Poll{ctx: ctx} }

// Stop counts work and reports whether the query has been given up. Results found after that are discarded: the caller
// of the Run checks the context.
func (p *Poll) Stop(work int) bool {
	if p.work += work; p.work < pollEvery {
		return false
	}
	p.work = 0
	return p.ctx.Err() != nil
}
