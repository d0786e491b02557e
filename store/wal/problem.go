package wal

import "fmt"

// Problem says that the files of the log are not those that were written: one is
// missing, cut short, or something else has its name. Damage within a segment is
// a [Damage].
type Problem struct {
	File   string
	Reason string
	Spans  int64 // that are lost by it, as far as is known
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
