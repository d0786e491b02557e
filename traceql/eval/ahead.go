package eval

import "context"

// Ahead reads what [Run.OpenTraces] and [Run.Candidates] will read of a part, if they read it page by page. Another
// goroutine than the Run's may call it meanwhile. It returns no error: the Run meets the same one.
func (r *Run) Ahead(ctx context.Context, part int) {
	n := r.p.first()
	if n == nil || r.parts.pager == nil || r.parts.list[part].Resident || ctx.Err() != nil {
		return
	}
	if _, err := r.parts.view(part, ofTraces); err != nil {
		return
	}
	o, err := r.parts.paged(part)
	if err != nil || o == nil || ctx.Err() != nil {
		return
	}
	var pages []bool
	if s := &r.scarcest; s.some {
		pages, err = r.soughtBy(part, len(o.first)-1, s.filter)
	} else {
		pages, err = r.sought(part, len(o.first)-1, n)
	}
	if err != nil || pages == nil || 2*count(pages) > len(pages) {
		return
	}
	for page, in := range pages {
		if in && ctx.Err() == nil {
			_, _ = r.parts.page(part, page, ofRows) // The Run meets the same error.
		}
	}
}
