package wal

import "fmt"

// Problem reports that a file of the log differs from the written one: it is missing, cut short, or replaced by
// another file. For damage within a segment see [Damage].
type Problem struct {
	File   string
	Reason string
	Spans  int64 // lost spans, as far as the log knows
}

func (p *Problem) Error() string {
	if p.Spans > 0 {
		return fmt.Sprintf("%s: %s: %d spans are lost", p.File, p.Reason, p.Spans)
	}
	return fmt.Sprintf("%s: %s", p.File, p.Reason)
}

// Problems returns the problems found since Open began.
func (l *Log) Problems() []*Problem {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.problems[:len(l.problems):len(l.problems)]
}

func (l *Log) report(p *Problem) {
	l.o.Logger.Error("the log is not as it was written", "file", p.File, "reason", p.Reason, "lost_spans", p.Spans)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problems = append(l.problems, p)
}
