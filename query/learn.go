package query

import (
	"slices"

	"etude/trace"
)

// Patterns whose literal no text has are ruled out without reading the texts, if a query has searched the same
// Table before. After such a query ends, one goroutine of the Engine prepares its Tables, see [trace.Dict.Learn]. It
// never works for more than one query at a time; a later query asks again.

// searched remembers a View whose texts the Job's query has searched.
func (j *Job) searched(v *trace.View) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !slices.ContainsFunc(j.learn, func(have *trace.View) bool { return have.ID() == v.ID() }) {
		j.learn = append(j.learn, v)
	}
}

// prepare begins to prepare Views for later patterns, unless the Engine already prepares others.
func (e *Engine) prepare(views []*trace.View) {
	if len(views) == 0 || !e.preparing.CompareAndSwap(false, true) {
		return
	}
	go func() {
		defer e.preparing.Store(false)
		for _, v := range views {
			v.Strings.Learn()
		}
	}()
}
