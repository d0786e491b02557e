package eval

// lacking records that no span of a part meets a filter, so that later queries do not read the part. Only columns of
// the part may decide that, and it must not change: it is on disk. The caller has looked at every span.
func (r *Run) lacking(part int, f pick) {
	text := r.p.filters[f].text
	if r.parts.o.Facts == nil || r.parts.list[part].Resident || text == "" || r.ctx.Err() != nil { // else spans may be missing
		return
	}
	r.parts.o.Facts.KeepLacking(r.parts.list[part].ID, text)
}

// lacks reports whether a query has recorded that no span of a part meets a filter.
func (r *Run) lacks(part, filter int) bool {
	text := r.p.filters[filter].text
	return text != "" && r.parts.o.Facts != nil && !r.parts.list[part].Resident && r.parts.o.Facts.Lacks(r.parts.list[part].ID, text)
}

// maxRecorded is the most bytes of a filter that is recorded.
const maxRecorded = 512

// recorded returns the text by which facts about a filter are recorded, or "" for none.
func recorded(text string, f *filter) string {
	if !f.exact || f.all || len(text) > maxRecorded {
		return ""
	}
	return text
}
