package eval

import "context"

// Poll polls a context now and then, so that a loop ends at most pollEvery rows after the query is cancelled.
// It counts work: one row and one condition are 1, and a text that a regular expression reads is 1 per textUnit
// bytes. It belongs to one goroutine.
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

// Stop counts work. It reports whether the query is cancelled. The caller of the Run checks the context and
// discards results of a cancelled query.
func (p *Poll) Stop(work int) bool {
	if p.work += work; p.work < pollEvery {
		return false
	}
	p.work = 0
	return p.ctx.Err() != nil
}
