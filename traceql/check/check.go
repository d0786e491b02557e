package check

import (
	"fmt"

	"etude/traceql/syntax"
)

// Error is a violation of a static rule, with its position.
type Error struct {
	Pos syntax.Pos
	Msg string
}

func (e *Error) Error() string { return fmt.Sprintf("error at %s: %s", e.Pos, e.Msg) }

type placed interface{ Pos() syntax.Pos }

func errorf(at placed, format string, args ...any) error {
	return &Error{Pos: at.Pos(), Msg: fmt.Sprintf(format, args...)}
}

// Query checks a whole query. The error is an [*Error].
func Query(q *syntax.Query) error {
	if err := pipeline(q.Pipeline); err != nil {
		return err
	}
	if q.Metrics != nil {
		return metrics(q.Metrics)
	}
	return nil
}

// Condition checks an expression as the content of a filter.
func Condition(f syntax.Field) error {
	t, err := field(f)
	if err != nil {
		return err
	}
	if t != Bool && t != Dynamic {
		return errorf(f, "a filter needs a condition, %s is a %s", f, t)
	}
	return nil
}

func pipeline(p *syntax.Pipeline) error {
	for _, s := range p.Stages {
		if err := stage(s); err != nil {
			return err
		}
	}
	return nil
}

func stage(s syntax.Stage) error {
	switch s := s.(type) {
	case *syntax.Filter:
		return filter(s)
	case *syntax.SpansetOp:
		if err := stage(s.L); err != nil {
			return err
		}
		return stage(s.R)
	case *syntax.Pipeline:
		return pipeline(s)
	case *syntax.Aggregate:
		return aggregate(s)
	case *syntax.By:
		return by(s)
	case *syntax.Select:
		return names(s.Attrs)
	}
	return nil
}

func filter(f *syntax.Filter) error {
	if f.Cond == nil {
		return nil
	}
	return Condition(f.Cond)
}

func aggregate(a *syntax.Aggregate) error {
	if a.Arg == nil {
		return nil
	}
	t, err := field(a.Arg)
	if err != nil {
		return err
	}
	if t != Dynamic && !t.numeric() {
		return errorf(a, "%s needs numbers, %s is a %s", a.Func, a.Arg, t)
	}
	if !MentionsSpan(a.Arg) {
		return errorf(a, "%s must read an attribute or intrinsic of the span", a.Call())
	}
	return nil
}

func by(b *syntax.By) error {
	if _, err := field(b.Expr); err != nil {
		return err
	}
	if !MentionsSpan(b.Expr) {
		return errorf(b, "%s must read an attribute or intrinsic of the span", b)
	}
	return nil
}

// names checks a list of attributes and intrinsics.
func names(fields []syntax.Field) error {
	for _, f := range fields {
		if _, err := field(f); err != nil {
			return err
		}
	}
	return nil
}
