package syntax

import "fmt"

// Error is a mistake in the text of a query, with its place.
type Error struct {
	Pos  Pos
	Msg  string // what is wrong, or what was expected and found
	Hint string // how to write it right, when the mistake is a common one
}

func (e *Error) Error() string {
	if e.Hint != "" {
		return fmt.Sprintf("parse error at %s: %s (%s)", e.Pos, e.Msg, e.Hint)
	}
	return fmt.Sprintf("parse error at %s: %s", e.Pos, e.Msg)
}

// fail leaves the scanner or parser; Parse and its siblings recover it.
func fail(pos Pos, hint, format string, args ...any) {
	panic(&Error{Pos: pos, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// catch turns the panic of fail into an error. It raises any other panic again.
func catch(err *error) {
	switch e := recover().(type) {
	case nil:
	case *Error:
		*err = e
	default:
		panic(e)
	}
}
