package query

import (
	"slices"
	"time"

	"etude/trace"
)

// Patterns whose literal no text has are ruled out without reading the texts, if a query has searched the same
// Table before. After such a query ends, one goroutine of the Engine prepares its Tables, see [trace.Dict.Learn]. It
// never works for more than one query at a time; a later query asks again. Between two Tables it gives way to running
// queries, for a bounded time, so that it comes to an end under any load.

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
			e.giveWay()
			v.Strings.Learn()
		}
	}()
}

// giveWay waits until no query runs, for at most 5 ms. A Table takes half as long.
func (e *Engine) giveWay() {
	for range 5 {
		if len(e.slots) == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
